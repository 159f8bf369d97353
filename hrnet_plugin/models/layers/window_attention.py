"""HRFormer's transformer block: Yuan et al., https://arxiv.org/abs/2110.09408, section 3.

Maps are (N, C, H, W) outside a block and (N, H, W, C) inside, in the memory format channels_last:
attention and convolutions then work on the same memory without copying it into another order.
"""

import torch
from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from .conv_norm import NormCfg
from .recompute import recomputed
from .windows import Size, relative_position_index, window_merge, window_partition


class WindowAttention(nn.Module):
    """Multi-head self-attention among the tokens of each window.

    Args:
        channels: channels of a token, a multiple of ``heads``.
        heads: attention heads.
        window: height and width of a window.
        with_rpe: add a learned bias for the relative position of query and key (Swin Transformer,
            https://arxiv.org/abs/2103.14030, equation 4).
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
        """What is added to the logits, (1, heads, L, L), if anything."""
        if not self.with_rpe:
            return None
        bias = self.relative_position_bias_table[self.relative_position_index]  # (L, L, heads)
        return bias.permute(2, 0, 1)[None]

    def forward(self, windows: Tensor, real: Tensor | None = None) -> Tensor:
        """Windows of L tokens, (N * windows, L, C), to the same shape.

        Args:
            windows: the tokens.
            real: (windows, L), boolean: the tokens that others may look at; all if None.
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

    Where they do not, the map is padded with zeros on all sides. As in the published code, real
    tokens look at padded ones, whose keys and values are the biases of the projections.

    Args:
        channels, heads, window, with_rpe: as in :class:`WindowAttention`.
        with_pad_mask: no token looks at padded ones.
    """

    def __init__(
        self, channels: int, heads: int, window: Size, *, with_rpe: bool, with_pad_mask: bool
    ) -> None:
        super().__init__()
        self.window = window
        self.with_pad_mask = with_pad_mask
        self.attn = WindowAttention(channels, heads, window, with_rpe=with_rpe)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to the same shape."""
        size = (x.shape[1], x.shape[2])
        real = None
        # Padding is less than a window: each window has a real token, and no row is all masked.
        if self.with_pad_mask and any(s % w for s, w in zip(size, self.window)):
            ones = torch.ones(1, *size, 1, dtype=torch.bool, device=x.device)
            real = window_partition(ones, self.window).squeeze(-1)
        windows = self.attn(window_partition(x, self.window), real)
        return window_merge(windows, self.window, size)


class ConvFFN(nn.Module):
    """1x1 convolution to more channels, 3x3 of each channel, 1x1 back: section 3, "FFN with
    depth-wise convolution".

    As in the published code, a norm and an activation follow the last convolution too.

    Args:
        channels: channels of input and output.
        hidden_channels: channels between.
        norm_cfg: norm layers, as in MMCV.
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
        """(N, H, W, C) to the same shape."""
        x = x.permute(0, 3, 1, 2)
        x = self.act1(self.norm1(self.fc1(x)))
        x = self.act2(self.norm2(self.dw3x3(x)))
        x = self.act3(self.norm3(self.fc2(x)))
        return x.permute(0, 2, 3, 1)


class TransformerBlock(nn.Module):
    """Attention within windows, then a convolutional FFN that joins them; both residual.

    Args:
        channels: channels of input and output, a multiple of ``heads``.
        heads: attention heads.
        window: height and width of a window.
        mlp_ratio: channels inside the FFN, as a multiple of ``channels``.
        drop_path: chance that a sample skips a residual path in training.
        norm_cfg: norm layers of the FFN, as in MMCV.
        transformer_norm_cfg: norm layers before attention and FFN.
        with_rpe: see :class:`WindowAttention`.
        with_pad_mask: see :class:`LocalWindowAttention`.
        with_cp: save memory in training by computing the block again in the backward pass.
    """

    expansion = 1

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
        """The block in the order (N, H, W, C)."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.ffn(self.norm2(x)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape, channels_last."""
        x = x.permute(0, 2, 3, 1).contiguous()  # copies only what is not channels_last yet
        if self.with_cp and torch.is_grad_enabled():
            x = recomputed(self, self.residual, x)
        else:
            x = self.residual(x)
        return x.permute(0, 3, 1, 2)
