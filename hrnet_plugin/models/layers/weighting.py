"""Conditional channel weighting: Yu et al., https://arxiv.org/abs/2104.06403, section 3.2."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conv_norm import NormCfg
from .shuffle import ShuffleBlock, depthwise, interleave, named_conv

SPATIAL_RATIO = 4


class ConditionalChannelWeighting(ShuffleBlock[list[Tensor]]):
    """A shuffle block over all streams, with weights in place of its 1x1 convolutions.

    Figure 1 (b): half of each stream's channels pass; the others are weighted, convolved and
    weighted again. Streams keep their shapes.

    Args:
        channels: Channels of each stream, even numbers, high to low resolution.
        ratio: Factor by which cross-resolution weighting reduces channels.
        norm_cfg: Norm layers, as in MMCV.
        with_cp: Whether to recompute the block in the backward pass, to save memory.

    Raises:
        ValueError: A reduction leaves no channel.
    """

    def __init__(
        self, channels: Sequence[int], ratio: float, *, norm_cfg: NormCfg, with_cp: bool = False
    ) -> None:
        super().__init__(with_cp)
        halves = [c // 2 for c in channels]
        self.cross_resolution_weighting = CrossResolutionWeighting(
            halves, ratio, norm_cfg=norm_cfg
        )
        self.depthwise_convs = nn.ModuleList(depthwise(c, norm_cfg=norm_cfg) for c in halves)
        self.spatial_weighting = nn.ModuleList(SpatialWeighting(c) for c in halves)

    def shuffle(self, streams: list[Tensor]) -> list[Tensor]:
        passed, weighted = zip(*(x.chunk(2, dim=1) for x in streams))
        weighted = self.cross_resolution_weighting(weighted)
        return [
            interleave(x, spatial(conv(y)))
            for x, y, conv, spatial in zip(
                passed, weighted, self.depthwise_convs, self.spatial_weighting
            )
        ]


class CrossResolutionWeighting(nn.Module):
    """Weight each pixel of each stream by what all streams show around it.

    The weights are computed at the lowest resolution and resized by nearest-neighbour to the
    others: section 3.2, "Cross-resolution weight computation".

    Args:
        channels: Channels of each stream, high to low resolution.
        ratio: Factor by which the sum of the channels is reduced in between.
        norm_cfg: Norm layers, as in MMCV.

    Raises:
        ValueError: The reduction leaves no channel.
    """

    def __init__(self, channels: Sequence[int], ratio: float, *, norm_cfg: NormCfg) -> None:
        super().__init__()
        self.channels = list(channels)
        total = sum(channels)
        reduced = reduce_channels(total, ratio)
        self.conv1 = named_conv(
            total, reduced, 1, norm_cfg=norm_cfg, activate=nn.ReLU(inplace=True)
        )
        self.conv2 = named_conv(reduced, total, 1, norm_cfg=norm_cfg, activate=nn.Sigmoid())

    def forward(self, streams: Sequence[Tensor]) -> list[Tensor]:
        *higher, lowest = streams
        height, width = lowest.shape[-2:]
        pooled = [F.adaptive_avg_pool2d(x, (height, width)) for x in higher]
        weights = self.conv2(self.conv1(torch.cat([*pooled, lowest], dim=1)))
        *others, last = weights.split(self.channels, dim=1)
        return [
            *(x * F.interpolate(w, size=x.shape[-2:]) for x, w in zip(higher, others)),
            lowest * last,
        ]


class SpatialWeighting(nn.Module):
    """Weight each channel by the spatial means of all channels.

    This is squeeze and excitation, https://arxiv.org/abs/1709.01507, figure 2.

    Args:
        channels: Channels of input and output.

    Raises:
        ValueError: The reduction leaves no channel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = reduce_channels(channels, SPATIAL_RATIO)
        self.conv1 = named_conv(
            channels, reduced, 1, norm_cfg=None, activate=nn.ReLU(inplace=True)
        )
        self.conv2 = named_conv(reduced, channels, 1, norm_cfg=None, activate=nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv2(self.conv1(F.adaptive_avg_pool2d(x, 1)))


def reduce_channels(channels: int, ratio: float) -> int:
    """Divide ``channels`` by ``ratio``, rounding down.

    Raises:
        ValueError: No channel is left.
    """
    if channels < ratio:
        raise ValueError(f'{channels} channels to weight, reduced {ratio} times, leave none')
    return int(channels / ratio)
