"""HRFormer's transformer block: Yuan et al., https://arxiv.org/abs/2110.09408, section 3.

Maps are (N, C, H, W) outside a block and (N, H, W, C) inside, in the memory format channels_last,
so that attention and convolutions share memory without copies.
"""

import torch
from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from ..archs import Size
from .conv_norm import NormCfg
from .recompute import recomputed
from .windows import relative_position_index, window_merge, window_partition


class WindowAttention(nn.Module):
    """Multi-head self-attention among the tokens of each window.

    Args:
        channels: Channels of a token, a multiple of ``heads``.
        heads: Number of attention heads.
        window: Height and width of a window, in tokens.
        with_rpe: Whether to add a learned bias for the relative position of query and key (Swin
            Transformer, https://arxiv.org/abs/2103.14030, equation 4).
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, window: Size, *, with_rpe: bool) -> None:
        super().__init__()
        self.heads = heads
        self.with_rpe = with_rpe
        if with_rpe:
            offsets = (2 * window[0] - 1) * (2 * window[1] - 1)
            self.relative_position_bias_table = nn.Parameter(torch.empty(offsets, heads))
            nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
            self.register_buffer('relative_position_index', relative_position_index(window))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def bias(self) -> Tensor | None:
        """Return the bias of the logits, (1, heads, L, L), or None without ``with_rpe``."""
        if not self.with_rpe:
            return None
        bias = self.relative_position_bias_table[self.relative_position_index]  # (L, L, heads)
        return bias.permute(2, 0, 1)[None]

    def forward(self, windows: Tensor, real: Tensor | None = None) -> Tensor:
        """Attend within each window of L tokens.

        Args:
            windows: Tokens, (N * windows, L, C).
            real: Whether others may attend to a token, (windows, L), boolean; None allows all.

        Returns:
            Tokens, (N * windows, L, C).
        """
        n, length, channels = windows.shape
        qkv = self.qkv(windows).view(n, length, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mask = self.bias()
        if real is not None:
            padded = ~real[:, None, None]
            mask = windows.new_zeros(1) if mask is None else mask
            mask = mask.masked_fill(padded, float('-inf')).repeat(n // len(real), 1, 1, 1)
        out = attention(query, key, value, mask)
        return self.proj(out.transpose(1, 2).reshape(n, length, channels))


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention, (N, heads, L, C) each, with a mask added to the logits."""
    if not torch.compiler.is_exporting():
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # Exporters decompose the fused kernel into operations whose result lies in memory in another
    # order, on which the recorded view of it fails.
    logits = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    if mask is not None:
        logits = logits + mask
    return logits.softmax(-1) @ value


class LocalWindowAttention(nn.Module):
    """Attention within windows that tile the map: section 3, "Local-window self-attention".

    A map that windows do not tile is padded with zeros on all sides. As in the published code,
    real tokens attend to padded ones, whose keys and values are the biases of the projections.

    Args:
        channels: Channels of the map, a multiple of ``heads``.
        heads: Number of attention heads.
        window: Height and width of a window, in tokens.
        with_rpe: Whether to add the relative position bias.
        with_pad_mask: Whether to keep tokens from attending to padded ones.
    """

    def __init__(
        self, channels: int, heads: int, window: Size, *, with_rpe: bool, with_pad_mask: bool
    ) -> None:
        super().__init__()
        self.window = window
        self.with_pad_mask = with_pad_mask
        self.attn = WindowAttention(channels, heads, window, with_rpe=with_rpe)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, H, W, C) to the same shape."""
        size = (x.shape[1], x.shape[2])
        real = None
        # Padding is less than a window: each window has a real token, so no row is all masked.
        if self.with_pad_mask and any(s % w for s, w in zip(size, self.window)):
            ones = torch.ones(1, *size, 1, dtype=torch.bool, device=x.device)
            real = window_partition(ones, self.window).squeeze(-1)
        windows = self.attn(window_partition(x, self.window), real)
        return window_merge(windows, self.window, size)


class ConvFFN(nn.Module):
    """1x1 convolution to more channels, 3x3 depthwise, 1x1 back.

    Section 3, "FFN with depth-wise convolution". As in the published code, a norm and an
    activation follow the last convolution, too.

    Args:
        channels: Channels of input and output.
        hidden_channels: Channels between.
        norm_cfg: Norm layers, as in MMCV.
    """

    def __init__(self, channels: int, hidden_channels: int, *, norm_cfg: NormCfg) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.norm1 = build_norm_layer(norm_cfg, hidden_channels)[1]
        self.act1 = nn.GELU()
        self.dw3x3 = nn.Conv2d(hidden_channels, hidden_channels, 3, 1, 1, groups=hidden_channels)
        self.norm2 = build_norm_layer(norm_cfg, hidden_channels)[1]
        self.act2 = nn.GELU()
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)
        self.norm3 = build_norm_layer(norm_cfg, channels)[1]
        self.act3 = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, H, W, C) to the same shape."""
        x = x.permute(0, 3, 1, 2)
        x = self.act1(self.norm1(self.fc1(x)))
        x = self.act2(self.norm2(self.dw3x3(x)))
        x = self.act3(self.norm3(self.fc2(x)))
        return x.permute(0, 2, 3, 1)


class TransformerBlock(nn.Module):
    """Attention within windows, then a convolutional FFN that joins them; both residual.

    Args:
        channels: Channels of input and output, a multiple of ``heads``.
        heads: Number of attention heads.
        window: Height and width of a window, in tokens.
        mlp_ratio: Channels inside the FFN, as a multiple of ``channels``.
        drop_path: Probability that a sample skips a residual path in training.
        norm_cfg: Norm layers of the FFN, as in MMCV.
        transformer_norm_cfg: Norm layers before attention and FFN, over the last dimension.
        with_rpe: Whether to add the relative position bias.
        with_pad_mask: Whether to keep tokens from attending to the padding of their window.
        with_cp: Whether to recompute the block in the backward pass, to save memory.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        window: Size,
        mlp_ratio: float,
        drop_path: float,
        *,
        norm_cfg: NormCfg,
        transformer_norm_cfg: NormCfg,
        with_rpe: bool,
        with_pad_mask: bool,
        with_cp: bool,
    ) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(transformer_norm_cfg, channels)[1]
        self.attn = LocalWindowAttention(
            channels, heads, window, with_rpe=with_rpe, with_pad_mask=with_pad_mask
        )
        self.norm2 = build_norm_layer(transformer_norm_cfg, channels)[1]
        self.ffn = ConvFFN(channels, int(channels * mlp_ratio), norm_cfg=norm_cfg)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.with_cp = with_cp

    def residual(self, x: Tensor) -> Tensor:
        """Compute the block on (N, H, W, C)."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.ffn(self.norm2(x)))

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, C, H, W) to the same shape, in the memory format channels_last."""
        x = x.permute(0, 2, 3, 1).contiguous()  # no copy of what is channels_last already
        if self.with_cp and torch.is_grad_enabled():
            x = recomputed(self, self.residual, x)
        else:
            x = self.residual(x)
        return x.permute(0, 3, 1, 2)
