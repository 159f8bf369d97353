"""Blocks that backbones are built from."""

from .conv_norm import conv_norm, separable_conv_norm, separable_down
from .exchange import AliasedExchange, Exchange, Transition
from .residual import BasicBlock, Bottleneck
from .shuffle import ShuffleUnit
from .weighting import ConditionalChannelWeighting
from .window_attention import TransformerBlock

__all__ = [
    'AliasedExchange',
    'BasicBlock',
    'Bottleneck',
    'ConditionalChannelWeighting',
    'Exchange',
    'ShuffleUnit',
    'TransformerBlock',
    'Transition',
    'conv_norm',
    'separable_conv_norm',
    'separable_down',
]
