"""Gradient checkpointing: blocks that are recomputed in the backward pass, to save memory."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

X = TypeVar('X', Tensor, list[Tensor])  # one stream, or all


def recomputed(block: nn.Module, function: Callable[[X], X], x: X) -> X:
    """Return ``function(x)`` of a block, and recompute it in the backward pass.

    Both computations use the same random numbers, and only the first one updates the statistics of
    the block's batch norms.

    Args:
        block: Module whose batch norms ``function`` uses.
        function: Computation to repeat.
        x: Input: one stream or all.
    """
    if torch.compiler.is_compiling():  # the compiler updates statistics once by itself
        return checkpoint(function, x, use_reentrant=False)

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _frozen_statistics(block)

    return checkpoint(function, x, use_reentrant=False, context_fn=contexts)


@contextmanager
def _frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Let batch norms normalise as before without updating their running statistics."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    saved = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, batches in saved:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if batches is None else batches.clone()
    try:
        yield
    finally:
        for norm, momentum, batches in saved:
            norm.momentum, norm.num_batches_tracked = momentum, batches
