"""Mixed precision without a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from ..registry import OPTIM_WRAPPERS, strict_options


@OPTIM_WRAPPERS.register_module()
@strict_options
class AutocastOptimWrapper(OptimWrapper):
    """Train in bfloat16 where that is precise enough, on any device.

    Convolutions and matrix products run in bfloat16; weights, their updates and losses are in
    float32. bfloat16 has the range of float32: unlike float16, it needs no scaled loss, and a
    checkpoint has no state of a scaler. MMEngine's AmpOptimWrapper, the same for GPUs, refuses to
    be built without one.

    Args:
        **kwargs: Options of MMEngine's OptimWrapper: ``optimizer``, ``accumulative_counts``,
            ``clip_grad``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass of a training step in mixed precision."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
