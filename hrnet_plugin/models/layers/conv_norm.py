"""Convolution, norm and activation in one row, under the names that checkpoints use."""

from mmcv.cnn import build_norm_layer
from torch import nn

NormCfg = dict


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    norm_cfg: NormCfg,
    relu: bool = True,
) -> nn.Sequential:
    """Bias-free convolution that keeps the size (or divides it by ``stride``), norm, ReLU."""
    layers = [
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False),
        build_norm_layer(norm_cfg, out_channels)[1],
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def separable_conv_norm(
    in_channels: int,
    out_channels: int,
    *,
    stride: int = 1,
    norm_cfg: NormCfg,
    relu: bool = True,
) -> nn.Sequential:
    """3x3 convolution of each channel, norm, 1x1 convolution across channels, norm, ReLU."""
    layers = [
        nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False),
        build_norm_layer(norm_cfg, in_channels)[1],
        *conv_norm(in_channels, out_channels, 1, norm_cfg=norm_cfg, relu=relu),
    ]
    return nn.Sequential(*layers)


def separable_down(
    in_channels: int, out_channels: int, steps: int, *, norm_cfg: NormCfg, last_relu: bool
) -> nn.Sequential:
    """``steps`` separable convolutions of stride 2, the last of which changes the width."""
    widths = [in_channels] * steps + [out_channels]
    return nn.Sequential(
        *(
            separable_conv_norm(
                widths[i],
                widths[i + 1],
                stride=2,
                norm_cfg=norm_cfg,
                relu=last_relu or i < steps - 1,
            )
            for i in range(steps)
        )
    )


def add_norm(module: nn.Module, norm_cfg: NormCfg, channels: int, index: int) -> str:
    """Add norm number ``index`` to ``module`` and return the name it got.

    The name follows the kind of norm (``bn1``, ``gn1``, …), as in stock checkpoints.
    """
    name, norm = build_norm_layer(norm_cfg, channels, postfix=index)
    module.add_module(name, norm)
    return name
