"""HRNetV2's representation: Wang et al., https://arxiv.org/abs/1908.07919, section 3.4."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...registry import MODELS, strict_options
from ..archs import STEM_STRIDE
from ..layers import conv_module
from ..layers.conv_norm import BN, NormCfg
from ..layers.initialisation import NORMAL, InitCfg
from .base import StreamNeck


@MODELS.register_module()
@strict_options
class ConcatStreams(StreamNeck):
    """Resize all streams to the size of stream 0 and concatenate them: HRNetV2.

    For heads that read one map; heads of MMSegmentation can also concatenate streams themselves
    (``input_transform='resize_concat'``).

    Args:
        in_channels: Channels of the streams, high to low resolution.
        mixing: Whether to mix the concatenation by a 1x1 convolution of as many channels, a norm
            and a ReLU.
        norm_cfg: Norm layer of the mixing, as in MMCV.
        align_corners: ``align_corners`` of the bilinear resizing: False in the official branches
            ``master`` and ``pytorch-v1.1``, True in ``HRNet-OCR``.
        init_cfg: Initialisation of the weights, as in MMEngine.

    Attributes:
        out_channels: Channels of the output: the sum of ``in_channels``.
        out_strides: Stride of the output, in pixels of the image: that of stream 0.

    Raises:
        ValueError: In use: the streams have other channels.

    Example:
        >>> neck = ConcatStreams((8, 16), mixing=True)
        >>> [tuple(x.shape) for x in neck((torch.rand(1, 8, 23, 31), torch.rand(1, 16, 12, 16)))]
        [(1, 24, 23, 31)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        mixing: bool = False,
        norm_cfg: NormCfg = BN,
        align_corners: bool = False,
        init_cfg: InitCfg = NORMAL,
    ) -> None:
        channels = sum(in_channels)
        super().__init__(in_channels, channels, (STEM_STRIDE,), init_cfg)
        self.align_corners = align_corners
        self.mixing: nn.Module = (
            conv_module(channels, channels, 1, norm_cfg=norm_cfg, relu=True)
            if mixing
            else nn.Identity()
        )

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor]:
        """Take streams, each (N, in_channels[i], H_i, W_i), to one (N, out_channels, H_0, W_0)."""
        self.check_streams(streams)
        return (self.mixing(concat_streams(streams, self.align_corners)),)


def concat_streams(streams: Sequence[Tensor], align_corners: bool = False) -> Tensor:
    """Concatenate streams, (N, C_i, H_i, W_i), resized bilinearly to the size of stream 0."""
    first, *others = streams
    size = first.shape[-2:]
    resized = [
        F.interpolate(x, size=size, mode='bilinear', align_corners=align_corners) for x in others
    ]
    return torch.cat([first, *resized], dim=1)
