"""Blocks that backbones are built from."""

from .conv_norm import conv_norm, separable_conv_norm, separable_down
from .exchange import Exchange, Transition
from .residual import BasicBlock, Bottleneck

__all__ = [
    'BasicBlock',
    'Bottleneck',
    'Exchange',
    'Transition',
    'conv_norm',
    'separable_conv_norm',
    'separable_down',
]
