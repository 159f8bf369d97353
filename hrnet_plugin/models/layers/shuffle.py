"""Shuffle blocks: ShuffleNet V2, https://arxiv.org/abs/1807.11164, as in naive Lite-HRNet."""

from abc import abstractmethod
from collections import OrderedDict
from typing import Generic

import torch
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from .conv_norm import NormCfg
from .recompute import X, recomputed


class ShuffleBlock(nn.Module, Generic[X]):
    """Base of blocks that split channels into halves and shuffle the results together.

    Args:
        with_cp: Whether to recompute the block in the backward pass, to save memory.
    """

    def __init__(self, with_cp: bool) -> None:
        super().__init__()
        self.with_cp = with_cp

    @abstractmethod
    def shuffle(self, x: X) -> X:
        """Compute the block."""

    def forward(self, x: X) -> X:
        # x.requires_grad would not do: it is False for the images that the stem reads.
        if self.with_cp and torch.is_grad_enabled():
            return recomputed(self, self.shuffle, x)
        return self.shuffle(x)


class ShuffleUnit(ShuffleBlock[Tensor]):
    """Pass half of the channels, convolve the others, and shuffle both.

    Yu et al., https://arxiv.org/abs/2104.06403, figure 1 (a).

    Args:
        channels: Channels of input and output, an even number.
        norm_cfg: Norm layers, as in MMCV.
        with_cp: Whether to recompute the block in the backward pass, to save memory.
    """

    def __init__(self, channels: int, *, norm_cfg: NormCfg, with_cp: bool = False) -> None:
        super().__init__(with_cp)
        half = channels // 2
        self.branch2 = nn.Sequential(
            pointwise(half, half, norm_cfg=norm_cfg),
            depthwise(half, norm_cfg=norm_cfg),
            pointwise(half, half, norm_cfg=norm_cfg),
        )

    def shuffle(self, x: Tensor) -> Tensor:
        passed, convolved = x.chunk(2, dim=1)
        return interleave(passed, self.branch2(convolved))


class ShuffleStem(ShuffleBlock[Tensor]):
    """Strided convolution, then a shuffle block of stride 2 that convolves both halves.

    It takes images, (N, in_channels, H, W), to (N, out_channels, H / 4, W / 4), rounded up. Yu et
    al., https://arxiv.org/abs/2104.06403, section 3.1.

    Args:
        in_channels: Channels of the images.
        stem_channels: Channels between the two, an even number.
        out_channels: Channels of the output, an even number of at least ``stem_channels``.
        expand_ratio: Factor by which the second half widens ``stem_channels`` inside.
        norm_cfg: Norm layers, as in MMCV.
        with_cp: Whether to recompute the stem in the backward pass, to save memory.

    Raises:
        ValueError: The widths do not fit.
    """

    def __init__(
        self,
        in_channels: int,
        stem_channels: int,
        out_channels: int,
        expand_ratio: float,
        *,
        norm_cfg: NormCfg,
        with_cp: bool = False,
    ) -> None:
        super().__init__(with_cp)
        if stem_channels % 2 or out_channels % 2 or out_channels < stem_channels:
            raise ValueError(
                f'stem_channels={stem_channels}, out_channels={out_channels}; expected even '
                'numbers, the second at least the first'
            )
        half = stem_channels // 2
        expanded = round(stem_channels * expand_ratio)
        second = half if out_channels == stem_channels else stem_channels
        self.conv1 = named_conv(
            in_channels, stem_channels, 3, stride=2, norm_cfg=norm_cfg, activate=nn.ReLU(True)
        )
        self.branch1 = nn.Sequential(
            depthwise(half, stride=2, norm_cfg=norm_cfg),
            pointwise(half, out_channels - second, norm_cfg=norm_cfg),
        )
        self.expand_conv = pointwise(half, expanded, norm_cfg=norm_cfg)
        self.depthwise_conv = depthwise(expanded, stride=2, norm_cfg=norm_cfg)
        self.linear_conv = pointwise(expanded, second, norm_cfg=norm_cfg)

    def shuffle(self, x: Tensor) -> Tensor:
        x1, x2 = self.conv1(x).chunk(2, dim=1)
        x2 = self.linear_conv(self.depthwise_conv(self.expand_conv(x2)))
        return interleave(self.branch1(x1), x2)


def interleave(a: Tensor, b: Tensor) -> Tensor:
    """Join two maps, (N, C, H, W) each, to channels a0, b0, a1, b1, …: (N, 2 C, H, W).

    This is the channel shuffle of two groups: ShuffleNet, https://arxiv.org/abs/1707.01083,
    section 3.1. Where the two have different widths, the groups are the halves of both together.
    """
    if a.shape[1] != b.shape[1]:
        a, b = torch.cat((a, b), dim=1).chunk(2, dim=1)
    # One pass over memory, in its own order; joining first and transposing then would take two.
    if b.is_contiguous(memory_format=torch.channels_last):
        pixels = [x.permute(0, 2, 3, 1) for x in (a, b)]
        return torch.stack(pixels, dim=4).flatten(3, 4).permute(0, 3, 1, 2)
    return torch.stack((a, b), dim=2).flatten(1, 2)


def depthwise(channels: int, *, stride: int = 1, norm_cfg: NormCfg) -> nn.Sequential:
    """Return a 3x3 depthwise convolution and a norm."""
    return named_conv(channels, channels, 3, stride=stride, groups=channels, norm_cfg=norm_cfg)


def pointwise(in_channels: int, out_channels: int, *, norm_cfg: NormCfg) -> nn.Sequential:
    """Return a 1x1 convolution, a norm and a ReLU."""
    return named_conv(
        in_channels, out_channels, 1, norm_cfg=norm_cfg, activate=nn.ReLU(inplace=True)
    )


def named_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    norm_cfg: NormCfg | None,
    activate: nn.Module | None = None,
) -> nn.Sequential:
    """Return convolution, norm and activation under MMCV's names: ``conv``, ``bn`` (``gn``, …).

    The convolution has a bias if no norm follows.
    """
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        kernel_size // 2,
        groups=groups,
        bias=norm_cfg is None,
    )
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    if norm_cfg is not None:
        name, norm = build_norm_layer(norm_cfg, out_channels)
        layers[name] = norm
    if activate is not None:
        layers['activate'] = activate
    return nn.Sequential(layers)
