"""Allow MMEngine's checkpoints in the safe loader of torch >= 2.6.

``torch.load(weights_only=True)`` refuses every type that is not allowed, including MMEngine's, so
that runs neither resume nor test from their own checkpoints. This module allows exactly the types
in such checkpoints.
"""

import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

NUMPY_SCALARS = 'bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64'


class _Entry(tuple):
    """An allowed type or function and its full name in checkpoints, equal to itself only.

    When ``torch.serialization.safe_globals([…])`` of other code ends, it removes all entries that
    equal its own, which a plain tuple or type could.
    """

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class _Statistics(type):
    """Forward ``getattr`` of HistoryBuffer's statistics to HistoryBuffer."""

    def __getattr__(cls, name: str) -> Callable:
        if name not in _statistics():
            raise AttributeError(f'type object {cls.__name__!r} has no attribute {name!r}')
        return _statistics()[name]


class HistoryBufferStandIn(metaclass=_Statistics):
    """Create MMEngine's HistoryBuffer; import MMEngine only when a checkpoint has one."""

    def __new__(cls) -> Any:
        # The loader sets the state only of objects whose own type is allowed.
        torch.serialization.add_safe_globals([_history_buffer()])
        return _history_buffer()[0]()


@cache
def _history_buffer() -> _Entry:
    from mmengine.logging import HistoryBuffer

    return _Entry((HistoryBuffer, 'mmengine.logging.HistoryBuffer'))


def _statistics() -> dict[str, Callable]:
    """Return HistoryBuffer's functions by name: min, max, current, mean, and registered ones."""
    cls = _history_buffer()[0]
    cls()  # registers its statistics
    return cls._statistics_methods


def history_statistic(cls: type, name: str) -> Callable:
    """Return a statistic of HistoryBuffer, in place of ``getattr`` in its pickles.

    ``getattr`` itself would return any attribute of any type. Where other code has allowed
    HistoryBuffer or ``getattr`` as well, the loader picks either entry of a name: each stand-in
    works with the other's original.

    Args:
        cls: HistoryBuffer or its stand-in.
        name: Name of the statistic, such as ``'mean'``.

    Raises:
        pickle.UnpicklingError: The attribute is not a statistic of HistoryBuffer.
    """
    statistics = _statistics()
    if cls not in (HistoryBufferStandIn, _history_buffer()[0]) or name not in statistics:
        raise pickle.UnpicklingError(
            f'the checkpoint asks for attribute {name!r} of {cls!r}; expected one of '
            f"HistoryBuffer's statistics, {', '.join(statistics)}. Do not load it unless you "
            'trust its source'
        )
    return statistics[name]


def empty_bytes(*args: Any) -> bytes:
    """Return no bytes, in place of ``bytes`` in pickles of empty arrays.

    ``bytes`` itself would allocate as many as it is asked for.

    Args:
        args: None.

    Raises:
        pickle.UnpicklingError: There are arguments.
    """
    if args:
        raise pickle.UnpicklingError(
            f'the checkpoint calls bytes with {len(args)} argument(s); expected none, as in an '
            'empty array. Do not load it unless you trust its source'
        )
    return b''


def allow_mmengine_checkpoints() -> None:
    """Allow the types in MMEngine's checkpoints in torch's safe loader.

    Repeated calls have no effect; the plugin's loaders call it each time, in case other code has
    called ``torch.serialization.clear_safe_globals``.
    """
    if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6):
        return  # not safe by default
    torch.serialization.add_safe_globals(list(_entries()))


@cache
def _entries() -> tuple[_Entry, ...]:
    multiarray: Any = (np._core if hasattr(np, '_core') else np.core).multiarray
    functions = {name: getattr(multiarray, name) for name in ('_reconstruct', 'scalar')}
    dtypes = {type(np.dtype(name)) for name in NUMPY_SCALARS.split()}
    named: list[tuple[Callable[..., Any], str]] = [
        (HistoryBufferStandIn, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (history_statistic, 'builtins.getattr'),
        (empty_bytes, 'builtins.bytes'),
        *(
            (cls, f'{cls.__module__}.{cls.__qualname__}')
            for cls in (np.ndarray, np.dtype, *dtypes)
        ),
        # NumPy 1 wrote numpy.core, NumPy 2 writes numpy._core.
        *((f, f'numpy.core.multiarray.{name}') for name, f in functions.items()),
        *((f, f'numpy._core.multiarray.{name}') for name, f in functions.items()),
    ]
    return tuple(map(_Entry, named))
