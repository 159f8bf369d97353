"""The head of the ImageNet classifiers, up to pooling: https://arxiv.org/abs/1908.07919, B."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from ...registry import MODELS, strict_options
from ..archs import STEM_STRIDE, doubled
from ..layers import Bottleneck, DepthwiseBottleneck, conv_module, separable_conv_norm
from ..layers.conv_norm import BN, NormCfg
from ..layers.initialisation import KAIMING, InitCfg
from .base import StreamNeck

FIRST_CHANNELS = 128  # to which stream 0 is increased; stream i to 128 * 2**i


@MODELS.register_module()
@strict_options
class ClassificationNeck(StreamNeck):
    """Widen each stream by a bottleneck, then add them up from high to low resolution.

    The names in state dicts are those of MMPretrain's ``HRFuseScales``. The official code has
    biases before norms; they have no effect in training, and checkpoints are converted by
    subtracting them from the running means.

    Args:
        in_channels: Channels of the streams, high to low resolution.
        separable: Whether 3x3 convolutions are depthwise, as in HRFormer's classifiers: those of
            the bottlenecks, and those that halve the resolution, which a norm and a 1x1
            convolution follow.
        norm_cfg: Norm layers, as in MMCV; also in the bottlenecks, where stock ignores it.
        out_channels: Channels of the output.
        init_cfg: Initialisation of the weights, as in MMEngine.

    Attributes:
        out_channels: Channels of the output.
        out_strides: Stride of the output, in pixels of the image: that of the last stream.

    Raises:
        ValueError: In use: the streams have other channels.

    Example:
        >>> import torch
        >>> neck = ClassificationNeck((8, 16))
        >>> [tuple(x.shape) for x in neck((torch.rand(1, 8, 23, 31), torch.rand(1, 16, 12, 16)))]
        [(1, 2048, 12, 16)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        separable: bool = False,
        norm_cfg: NormCfg = BN,
        out_channels: int = 2048,
        init_cfg: InitCfg = KAIMING,
    ) -> None:
        last_stride = STEM_STRIDE * 2 ** (len(in_channels) - 1)
        super().__init__(in_channels, out_channels, (last_stride,), init_cfg)
        widths = doubled(FIRST_CHANNELS, len(in_channels))
        block = DepthwiseBottleneck if separable else Bottleneck
        self.increase_layers = nn.ModuleList(
            nn.Sequential(block(i, o, norm_cfg=norm_cfg)) for i, o in zip(in_channels, widths)
        )
        self.downsample_layers = nn.ModuleList(
            separable_conv_norm(i, o, stride=2, norm_cfg=norm_cfg)
            if separable
            else conv_module(i, o, 3, stride=2, norm_cfg=norm_cfg, relu=True)
            for i, o in pairwise(widths)
        )
        self.final_layer = conv_module(widths[-1], out_channels, 1, norm_cfg=norm_cfg, relu=True)

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor]:
        """Take streams, each (N, in_channels[i], H_i, W_i), to one of the last stream's size."""
        self.check_streams(streams)
        first, *others = (increase(x) for increase, x in zip(self.increase_layers, streams))
        total = first
        for down, x in zip(self.downsample_layers, others):
            total = down(total) + x
        return (self.final_layer(total),)
