"""Blocks that backbones are built from."""

from .conv_norm import conv_down, conv_module, conv_norm, separable_conv_norm, separable_down
from .exchange import AliasedExchange, Branches, Exchange, Transition
from .iterative_head import IterativeHead
from .residual import BasicBlock, Bottleneck, DepthwiseBottleneck
from .shuffle import ShuffleStem, ShuffleUnit
from .weighting import ConditionalChannelWeighting
from .window_attention import TransformerBlock

__all__ = [
    'AliasedExchange',
    'BasicBlock',
    'Bottleneck',
    'Branches',
    'ConditionalChannelWeighting',
    'DepthwiseBottleneck',
    'Exchange',
    'IterativeHead',
    'ShuffleStem',
    'ShuffleUnit',
    'TransformerBlock',
    'Transition',
    'conv_down',
    'conv_module',
    'conv_norm',
    'separable_conv_norm',
    'separable_down',
]
