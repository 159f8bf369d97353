"""Residual blocks: He et al., https://arxiv.org/abs/1512.03385, figure 5."""

from typing import ClassVar

from torch import Tensor, nn

from ..archs import EXPANSION
from .conv_norm import NormCfg, add_norm, conv_norm
from .recompute import recomputed


class ResidualBlock(nn.Module):
    """Compute ``relu(convolutions(x) + shortcut(x))``; a subclass names the convolutions.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, a multiple of ``expansion``.
        norm_cfg: Norm layers, as in MMCV.
        with_cp: Whether to recompute the block in the backward pass, to save memory.
    """

    expansion: ClassVar[int]
    kernel_sizes: ClassVar[tuple[int, ...]]
    depthwise: ClassVar[bool] = False  # whether 3x3 convolutions are

    def __init__(
        self, in_channels: int, out_channels: int, *, norm_cfg: NormCfg, with_cp: bool = False
    ) -> None:
        super().__init__()
        mid_channels = out_channels // self.expansion
        widths = [in_channels, *[mid_channels] * (len(self.kernel_sizes) - 1), out_channels]
        self.layer_names = []
        for i, kernel_size in enumerate(self.kernel_sizes):
            conv = nn.Conv2d(
                widths[i],
                widths[i + 1],
                kernel_size,
                padding=kernel_size // 2,
                groups=widths[i] if self.depthwise and kernel_size == 3 else 1,
                bias=False,
            )
            self.add_module(f'conv{i + 1}', conv)
            self.layer_names.append(
                (f'conv{i + 1}', add_norm(self, norm_cfg, widths[i + 1], i + 1))
            )
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Identity()
            if in_channels == out_channels
            else conv_norm(in_channels, out_channels, 1, norm_cfg=norm_cfg, relu=False)
        )
        self.with_cp = with_cp

    @property
    def last_norm(self) -> nn.Module:
        """The norm whose weight ``zero_init_residual`` sets to 0."""
        return getattr(self, self.layer_names[-1][1])

    def residual(self, x: Tensor) -> Tensor:
        """Compute the block without its last ReLU."""
        out = x
        for i, (conv, norm) in enumerate(self.layer_names):
            out = getattr(self, norm)(getattr(self, conv)(out if i == 0 else self.relu(out)))
        return out + self.downsample(x)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, in_channels, H, W) to (N, out_channels, H, W)."""
        if self.with_cp and x.requires_grad:
            return self.relu(recomputed(self, self.residual, x))
        return self.relu(self.residual(x))


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions."""

    expansion = EXPANSION['BASIC']
    kernel_sizes = (3, 3)


class Bottleneck(ResidualBlock):
    """1x1 convolution to a quarter of the output's channels, 3x3, 1x1 to all of them."""

    expansion = EXPANSION['BOTTLENECK']
    kernel_sizes = (1, 3, 1)


class DepthwiseBottleneck(Bottleneck):
    """Bottleneck whose 3x3 convolution is depthwise: HRFormer's classification head."""

    depthwise = True
