"""Lets the safe loader of torch >= 2.6 read what MMEngine's training writes.

``torch.load(weights_only=True)`` refuses every type it was not told of, MMEngine's own among them,
so that a checkpoint which training has just written neither resumes nor tests. Here are exactly
the types that such checkpoints hold; any other is still refused.
"""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

NUMPY_SCALARS = 'bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64'
Entry = tuple[Callable[..., Any], str]


class HistoryBufferStandIn:
    """Creates MMEngine's HistoryBuffer, so that MMEngine is imported only for who loads one."""

    def __new__(cls) -> Any:
        from mmengine.logging import HistoryBuffer

        # The loader fills only objects whose own type it knows.
        _allow((HistoryBuffer, 'mmengine.logging.HistoryBuffer'))
        return HistoryBuffer()


def history_statistic(cls: type, name: str) -> Callable:
    """Stand-in for ``getattr``, which a pickled HistoryBuffer calls to find its statistics.

    ``getattr`` itself would hand over every attribute of every type.

    Raises:
        pickle.UnpicklingError: It is not a statistic of HistoryBuffer that is asked for.
    """
    from mmengine.logging import HistoryBuffer

    HistoryBuffer()  # fills the table of its statistics
    statistics = HistoryBuffer._statistics_methods
    if cls is not HistoryBufferStandIn or name not in statistics:
        raise pickle.UnpicklingError(
            f'the checkpoint asks for attribute {name!r} of {cls!r}; expected one of '
            f"HistoryBuffer's statistics, {', '.join(statistics)}. Do not load it unless you "
            'trust where it is from'
        )
    return statistics[name]


def allow_mmengine_checkpoints() -> None:
    """Tell torch's safe loader of the types in MMEngine's checkpoints; again does no harm."""
    if tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6):
        return  # loads everything unless asked to be safe
    multiarray: Any = (np._core if hasattr(np, '_core') else np.core).multiarray
    functions = {name: getattr(multiarray, name) for name in ('_reconstruct', 'scalar')}
    dtypes = {type(np.dtype(name)) for name in NUMPY_SCALARS.split()}
    _allow(
        (HistoryBufferStandIn, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (history_statistic, 'builtins.getattr'),
        *(
            (cls, f'{cls.__module__}.{cls.__qualname__}')
            for cls in (np.ndarray, np.dtype, *dtypes)
        ),
        # numpy 1 wrote numpy.core, numpy 2 writes numpy._core.
        *((f, f'numpy.core.multiarray.{name}') for name, f in functions.items()),
        *((f, f'numpy._core.multiarray.{name}') for name, f in functions.items()),
    )


def _allow(*entries: Entry) -> None:
    """Add to the types that torch's safe loader knows.

    Always with a name: ``torch.serialization.safe_globals([np.ndarray])`` of other code takes away
    what it was given when it ends, and would take away an entry of ours that equals it.
    """
    torch.serialization.add_safe_globals(list(entries))
