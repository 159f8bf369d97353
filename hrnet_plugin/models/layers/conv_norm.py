"""Convolutions with norm and activation, under the names of stock state dicts.

Maps are (N, C, H, W) throughout. A stride of 2 halves H and W, rounding up.
"""

from collections import OrderedDict
from itertools import pairwise
from typing import Any

from mmcv.cnn import build_conv_layer, build_norm_layer
from torch import nn

NormCfg = dict[str, Any]  # a norm layer as in MMCV
BN = dict(type='BN')


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    norm_cfg: NormCfg,
    relu: bool = True,
) -> nn.Sequential:
    """Return a bias-free convolution, a norm and, unless ``relu=False``, a ReLU.

    The convolution is padded to keep the size (or to divide it by ``stride``, rounding up).
    """
    layers = [
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False),
        build_norm_layer(norm_cfg, out_channels)[1],
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def conv_module(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    conv_cfg: dict[str, Any] | None = None,
    norm_cfg: NormCfg | None,
    relu: bool,
) -> nn.Sequential:
    """Return a convolution, a norm and a ReLU under the names of MMCV's ``ConvModule``.

    Unlike that, it leaves initialisation to the module that it is part of.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the kernel; the input is padded by half of it.
        stride: Stride of the convolution.
        conv_cfg: Type of the convolution, as in MMCV; None: a plain one.
        norm_cfg: Norm layer, as in MMCV; None: none, and the convolution has a bias.
        relu: Whether a ReLU follows.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers['conv'] = build_conv_layer(
        conv_cfg,
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        bias=norm_cfg is None,
    )
    if norm_cfg is not None:
        name, norm = build_norm_layer(norm_cfg, out_channels)
        layers[name] = norm
    if relu:
        layers['activate'] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


def separable_conv_norm(
    in_channels: int,
    out_channels: int,
    *,
    stride: int = 1,
    norm_cfg: NormCfg,
    relu: bool = True,
) -> nn.Sequential:
    """Return a 3x3 depthwise convolution, norm, 1x1 convolution, norm and, maybe, a ReLU."""
    layers = [
        nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False),
        build_norm_layer(norm_cfg, in_channels)[1],
        *conv_norm(in_channels, out_channels, 1, norm_cfg=norm_cfg, relu=relu),
    ]
    return nn.Sequential(*layers)


def conv_down(
    in_channels: int, out_channels: int, steps: int, *, norm_cfg: NormCfg, last_relu: bool
) -> nn.Sequential:
    """Return ``steps`` 3x3 convolutions of stride 2, the last of which changes the width.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        steps: Number of convolutions, each of which halves the size.
        norm_cfg: Norm layers, as in MMCV.
        last_relu: Whether a ReLU follows the last one, as it follows the others.
    """
    widths = [in_channels] * steps + [out_channels]
    return nn.Sequential(
        *(
            conv_norm(i, o, 3, stride=2, norm_cfg=norm_cfg, relu=last_relu or step < steps)
            for step, (i, o) in enumerate(pairwise(widths), start=1)
        )
    )


def separable_down(
    in_channels: int, out_channels: int, steps: int, *, norm_cfg: NormCfg, last_relu: bool
) -> nn.Sequential:
    """Return what :func:`conv_down` does, of separable convolutions."""
    widths = [in_channels] * steps + [out_channels]
    return nn.Sequential(
        *(
            separable_conv_norm(i, o, stride=2, norm_cfg=norm_cfg, relu=last_relu or step < steps)
            for step, (i, o) in enumerate(pairwise(widths), start=1)
        )
    )


def add_norm(module: nn.Module, norm_cfg: NormCfg, channels: int, index: int) -> str:
    """Add norm number ``index`` to ``module`` and return its name.

    The name follows the kind of norm (``bn1``, ``gn1``, …), as in stock's state dicts.
    """
    name, norm = build_norm_layer(norm_cfg, channels, postfix=index)
    module.add_module(name, norm)
    return name
