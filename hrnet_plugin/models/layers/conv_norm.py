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


def add_norm(module: nn.Module, norm_cfg: NormCfg, channels: int, index: int) -> str:
    """Add norm number ``index`` to ``module`` and return the name it got.

    The name follows the kind of norm (``bn1``, ``gn1``, …), as in stock checkpoints.
    """
    name, norm = build_norm_layer(norm_cfg, channels, postfix=index)
    module.add_module(name, norm)
    return name
