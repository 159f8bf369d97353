"""Memory for time: blocks that are computed again in the backward pass."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

X = TypeVar('X', Tensor, list[Tensor])  # one stream, or all


def recomputed(block: nn.Module, function: Callable[[X], X], x: X) -> X:
    """``function(x)`` of a block, without keeping what is between ``x`` and the result.

    Random numbers are the same in both computations, and batch norms of the block take note of the
    batch in the first one only.
    """
    if torch.compiler.is_compiling():  # the compiler takes care of statistics itself
        return checkpoint(function, x, use_reentrant=False)

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _statistics_held(block)

    return checkpoint(function, x, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_held(block: nn.Module) -> Iterator[None]:
    """Batch norms normalise as they did, but do not move their running statistics."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    held = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, batches in held:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if batches is None else batches.clone()
    try:
        yield
    finally:
        for norm, momentum, batches in held:
            norm.momentum, norm.num_batches_tracked = momentum, batches
