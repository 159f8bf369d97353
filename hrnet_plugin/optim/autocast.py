"""Mixed precision without a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from ..environment.cpu import has_bfloat16
from ..registry import OPTIM_WRAPPERS, strict_options

PRECISIONS = ('bfloat16', 'auto', 'float32')


@OPTIM_WRAPPERS.register_module()
@strict_options
class AutocastOptimWrapper(OptimWrapper):
    """Train in bfloat16 where that is precise enough, on any device.

    Convolutions and matrix products run in bfloat16; weights, their updates and losses are in
    float32. bfloat16 has the range of float32: unlike float16, it needs no scaled loss, and a
    checkpoint has no state of a scaler. MMEngine's AmpOptimWrapper, the same for GPUs, refuses to
    be built without one.

    Args:
        precision: ``'bfloat16'``; ``'auto'`` for that where the device has instructions for it,
            and float32 elsewhere, as the log says; or ``'float32'``, to undo what a base says.
        **kwargs: Options of MMEngine's OptimWrapper: ``optimizer``, ``accumulative_counts``,
            ``clip_grad``.

    Attributes:
        enabled: Whether this training computes in bfloat16.

    Raises:
        ValueError: ``precision`` is none of these.
    """

    def __init__(self, precision: str = 'bfloat16', **kwargs: Any) -> None:
        if precision not in PRECISIONS:
            raise ValueError(
                f'precision is {precision!r}; expected {" or ".join(map(repr, PRECISIONS))}'
            )
        super().__init__(**kwargs)
        device = self.optimizer.param_groups[0]['params'][0].device.type
        self.enabled = precision == 'bfloat16'
        if precision == 'auto':
            self.enabled = computes_in_bfloat16(device)
            reason = 'has' if self.enabled else 'has no'
            chosen = 'bfloat16, with weights and losses in float32' if self.enabled else 'float32'
            print_log(
                f'Training computes in {chosen}: this {device} {reason} instructions for bfloat16',
                logger='current',
            )

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass of a training step in mixed precision."""
        with (
            super().optim_context(model),
            autocast(enabled=self.enabled, dtype=torch.bfloat16),
        ):
            yield


def computes_in_bfloat16(device: str) -> bool:
    """Return whether a type of device, ``'cpu'`` or ``'cuda'``, has instructions for bfloat16."""
    if device == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == 'cpu' and has_bfloat16()
