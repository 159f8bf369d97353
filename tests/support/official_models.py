"""Models built as the official repositories build theirs, for tests of what their weights become.

Only what MMPose builds differently is written out; the rest of a model is stock's.
"""

import math
from typing import Any

import torch
from mmpose.models.backbones.hrformer import HRFormer as StockHRFormer
from mmpose.models.backbones.hrformer import HRFormerBlock as StockBlock
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 7


class Attention(nn.Module):
    """Multi-head attention as in HRNet/HRFormer: projections of their own, tokens first.

    Args:
        channels: channels of a token.
        heads: attention heads.
        add_bias: whether the position bias that the module has is added. It is in the repository's
            classification code; in its pose code that line is commented out.
    """

    def __init__(self, channels: int, heads: int, add_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.add_bias = add_bias
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.out_proj = nn.Linear(channels, channels)
        self.relative_position_bias_table = nn.Parameter(torch.randn((2 * WINDOW - 1) ** 2, heads))
        rows, columns = (
            axis.flatten() for axis in torch.meshgrid(*[torch.arange(WINDOW)] * 2, indexing='ij')
        )
        down, right = (axis[:, None] - axis[None, :] + WINDOW - 1 for axis in (rows, columns))
        self.relative_position_index: Tensor
        self.register_buffer('relative_position_index', down * (2 * WINDOW - 1) + right)

    def forward(self, x: Tensor) -> Tensor:
        """(tokens, windows, channels) to the same shape."""
        tokens, windows, channels = x.shape
        size = channels // self.heads

        def split(y: Tensor) -> Tensor:
            """To (windows * heads, tokens, size): the heads of a window follow each other."""
            return y.reshape(tokens, windows * self.heads, size).transpose(0, 1)

        query, key, value = (
            split(p) for p in (self.q_proj(x) * size**-0.5, self.k_proj(x), self.v_proj(x))
        )
        logits = torch.bmm(query, key.transpose(1, 2))
        if self.add_bias:
            bias = self.relative_position_bias_table[self.relative_position_index]
            logits = logits + bias.permute(2, 0, 1).repeat(windows, 1, 1)
        out = torch.bmm(logits.softmax(-1), value)
        return self.out_proj(out.transpose(0, 1).reshape(tokens, windows, channels))


class WindowedAttention(nn.Module):
    """Zero-padded all round to whole windows, attention in each, cut back."""

    def __init__(self, channels: int, heads: int, add_bias: bool) -> None:
        super().__init__()
        self.attn = Attention(channels, heads, add_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to the same shape."""
        n, h, w, c = x.shape
        down, across = math.ceil(h / WINDOW), math.ceil(w / WINDOW)
        top, left = (down * WINDOW - h) // 2, (across * WINDOW - w) // 2
        padded = x.new_zeros(n, down * WINDOW, across * WINDOW, c)
        padded[:, top : top + h, left : left + w] = x
        windows = padded.view(n, down, WINDOW, across, WINDOW, c).permute(2, 4, 0, 1, 3, 5)
        out = self.attn(windows.reshape(WINDOW * WINDOW, n * down * across, c))
        out = out.view(WINDOW, WINDOW, n, down, across, c).permute(2, 3, 0, 4, 1, 5)
        return out.reshape(padded.shape)[:, top : top + h, left : left + w]


class ConvMLP(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.dw3x3 = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.norm3 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to the same shape."""
        x = x.permute(0, 3, 1, 2)
        for conv, norm in (
            (self.fc1, self.norm1),
            (self.dw3x3, self.norm2),
            (self.fc2, self.norm3),
        ):
            x = F.gelu(norm(conv(x)))
        return x.permute(0, 2, 3, 1)


class Block(nn.Module):
    def __init__(self, channels: int, heads: int, hidden: int, add_bias: bool) -> None:
        super().__init__()
        self.attn = WindowedAttention(channels, heads, add_bias)
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = ConvMLP(channels, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = x + self.attn(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return x.permute(0, 3, 1, 2)


def hrformer(extra: dict[str, Any], add_bias: bool) -> nn.Module:
    """An HRFormer whose blocks are the official ones; ``extra`` as stock configs write it."""
    model = StockHRFormer(extra)
    for parent in list(model.modules()):
        for name, block in parent.named_children():
            if isinstance(block, StockBlock):
                official = Block(
                    block.norm1.normalized_shape[0],
                    block.num_heads,
                    block.ffn.fc1.out_channels,
                    add_bias,
                )
                setattr(parent, name, official)
    return model


class HeadOf0x(nn.Module):
    """The top-down head of MMPose 0.x: convolutions are numbered together with the final layer."""

    def __init__(self, channels: int, keypoints: int, deconv: int = 0, conv: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if deconv:
            layers = [nn.ConvTranspose2d(channels, deconv, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(deconv), nn.ReLU()]
            channels = deconv
        self.deconv_layers = nn.Sequential(*layers) if layers else nn.Identity()
        convs: list[nn.Module] = []
        for _ in range(conv):
            convs += [
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
        final = nn.Conv2d(channels, keypoints, 1)
        self.final_layer = nn.Sequential(*convs, final) if convs else final

    def forward(self, x: Tensor) -> Tensor:
        return self.final_layer(self.deconv_layers(x))


class ModelOf0x(nn.Module):
    """A top-down model of MMPose 0.x, as which official Lite-HRNet and HRFormer are written."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.keypoint_head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.keypoint_head(self.backbone(x)[0])
