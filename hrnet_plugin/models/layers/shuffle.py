"""Shuffle blocks of ShuffleNet V2, the naive Lite-HRNet's: https://arxiv.org/abs/1807.11164."""

from abc import abstractmethod
from collections import OrderedDict
from typing import Generic

import torch
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from .conv_norm import NormCfg
from .recompute import X, recomputed


class ShuffleBlock(nn.Module, Generic[X]):
    """Splits channels into halves, computes, and shuffles them together.

    Args:
        with_cp: save memory in training by computing the block again in the backward pass.
    """

    def __init__(self, with_cp: bool) -> None:
        super().__init__()
        self.with_cp = with_cp

    @abstractmethod
    def shuffle(self, x: X) -> X:
        """The block itself."""

    def forward(self, x: X) -> X:
        # Not x.requires_grad, which an image never does.
        if self.with_cp and torch.is_grad_enabled():
            return recomputed(self, self.shuffle, x)
        return self.shuffle(x)


class ShuffleUnit(ShuffleBlock[Tensor]):
    """Half of the channels pass, half are convolved; then both are shuffled.

    Yu et al., https://arxiv.org/abs/2104.06403, figure 1 (a).

    Args:
        channels: channels of input and output, even.
        norm_cfg: norm layers, as in MMCV.
        with_cp: save memory in training by computing the block again in the backward pass.
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


def interleave(a: Tensor, b: Tensor) -> Tensor:
    """Join two tensors, (N, C, H, W) each, to channels a0, b0, a1, b1, …: (N, 2C, H, W).

    This is the channel shuffle of two groups. Where the two have different widths, the groups are
    the halves of both together.
    """
    if a.shape[1] != b.shape[1]:
        a, b = torch.cat((a, b), dim=1).chunk(2, dim=1)
    # One pass over memory, in the order in which it is; joining first and transposing afterwards
    # would take two.
    if b.is_contiguous(memory_format=torch.channels_last):
        pixels = [x.permute(0, 2, 3, 1) for x in (a, b)]
        return torch.stack(pixels, dim=4).flatten(3, 4).permute(0, 3, 1, 2)
    return torch.stack((a, b), dim=2).flatten(1, 2)


def depthwise(channels: int, *, stride: int = 1, norm_cfg: NormCfg) -> nn.Sequential:
    """3x3 convolution of each channel by itself, and norm."""
    return named_conv(channels, channels, 3, stride=stride, groups=channels, norm_cfg=norm_cfg)


def pointwise(in_channels: int, out_channels: int, *, norm_cfg: NormCfg) -> nn.Sequential:
    """1x1 convolution, norm, ReLU."""
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
    """Convolution, norm and activation under MMCV's names: ``conv``, ``bn`` (``gn``, …).

    A convolution that no norm follows has a bias.
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
