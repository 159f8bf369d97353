"""Lets the safe loader of torch >= 2.6 read what MMEngine's training writes.

``torch.load(weights_only=True)`` refuses every type it was not told of, MMEngine's own among them,
so that a checkpoint which training has just written neither resumes nor tests. Here are exactly
the types that such checkpoints hold; any other is still refused.
"""

import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

NUMPY_SCALARS = 'bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64'


class _Entry(tuple):
    """A type or function and the full name by which checkpoints call it, equal to itself only.

    ``torch.serialization.safe_globals([…])`` of other code removes, when it ends, whatever equals
    what it was given; a plain tuple, or a type without a name, would be removed as well.
    """

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class _Statistics(type):
    """Lets ``getattr`` find HistoryBuffer's statistics on its stand-in, too."""

    def __getattr__(cls, name: str) -> Callable:
        if name not in _statistics():
            raise AttributeError(f'type object {cls.__name__!r} has no attribute {name!r}')
        return _statistics()[name]


class HistoryBufferStandIn(metaclass=_Statistics):
    """Create MMEngine's HistoryBuffer, and import MMEngine only when a checkpoint holds one."""

    def __new__(cls) -> Any:
        # The loader fills only objects whose own type it knows.
        torch.serialization.add_safe_globals([_history_buffer()])
        return _history_buffer()[0]()


@cache
def _history_buffer() -> _Entry:
    from mmengine.logging import HistoryBuffer

    return _Entry((HistoryBuffer, 'mmengine.logging.HistoryBuffer'))


def _statistics() -> dict[str, Callable]:
    """Return HistoryBuffer's functions by name: min, max, current, mean, and registered ones."""
    cls = _history_buffer()[0]
    cls()  # fills the table of its statistics
    return cls._statistics_methods


def history_statistic(cls: type, name: str) -> Callable:
    """Stand-in for ``getattr``, which a pickled HistoryBuffer calls to find its statistics.

    ``getattr`` itself would hand over every attribute of every type. Where other code has allowed
    HistoryBuffer or ``getattr`` as well, the loader takes either of the two that have one name:
    each stand-in works with the other's original.

    Raises:
        pickle.UnpicklingError: It is not a statistic of HistoryBuffer that is asked for.
    """
    statistics = _statistics()
    if cls not in (HistoryBufferStandIn, _history_buffer()[0]) or name not in statistics:
        raise pickle.UnpicklingError(
            f'the checkpoint asks for attribute {name!r} of {cls!r}; expected one of '
            f"HistoryBuffer's statistics, {', '.join(statistics)}. Do not load it unless you "
            'trust where it is from'
        )
    return statistics[name]


def allow_mmengine_checkpoints() -> None:
    """Tell torch's safe loader of the types in MMEngine's checkpoints; again does no harm.

    Loaders of ours call it each time, as ``torch.serialization.clear_safe_globals`` of other code
    forgets everything.
    """
    if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6):
        return  # loads everything unless asked to be safe
    torch.serialization.add_safe_globals(list(_entries()))


@cache
def _entries() -> tuple[_Entry, ...]:
    multiarray: Any = (np._core if hasattr(np, '_core') else np.core).multiarray
    functions = {name: getattr(multiarray, name) for name in ('_reconstruct', 'scalar')}
    dtypes = {type(np.dtype(name)) for name in NUMPY_SCALARS.split()}
    named: list[tuple[Callable[..., Any], str]] = [
        (HistoryBufferStandIn, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (history_statistic, 'builtins.getattr'),
        *(
            (cls, f'{cls.__module__}.{cls.__qualname__}')
            for cls in (np.ndarray, np.dtype, *dtypes)
        ),
        # numpy 1 wrote numpy.core, numpy 2 writes numpy._core.
        *((f, f'numpy.core.multiarray.{name}') for name, f in functions.items()),
        *((f, f'numpy._core.multiarray.{name}') for name, f in functions.items()),
    ]
    return tuple(map(_Entry, named))
