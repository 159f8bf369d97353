"""Attention windows that tile a feature map, and the relative positions of their tokens.

Sizes are (height, width) in tokens. A map that windows do not tile is padded with zeros, equally
on both sides; an odd token goes to the bottom or the right.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..archs import Size


def window_partition(x: Tensor, window: Size) -> Tensor:
    """Cut a map into windows, row by row.

    Args:
        x: Map, (N, H, W, C).
        window: Size of a window.

    Returns:
        Windows, (N * windows, window[0] * window[1], C), those of one sample next to each other.

    Example:
        >>> window_partition(torch.rand(2, 10, 14, 8), (7, 7)).shape
        torch.Size([8, 49, 8])
    """
    n, height, width, channels = x.shape
    top, bottom = _margins(height, window[0])
    left, right = _margins(width, window[1])
    if top or bottom or left or right:
        x = F.pad(x, (0, 0, left, right, top, bottom))
    x = x.reshape(
        n, -(-height // window[0]), window[0], -(-width // window[1]), window[1], channels
    )
    return x.transpose(2, 3).reshape(-1, window[0] * window[1], channels)


def window_merge(windows: Tensor, window: Size, size: Size) -> Tensor:
    """Join windows to a map and crop the padding: the inverse of :func:`window_partition`.

    Args:
        windows: Windows, (N * windows, window[0] * window[1], C).
        window: Size of a window.
        size: Size of the map, (H, W).

    Returns:
        Map, (N, H, W, C).

    Example:
        >>> window_merge(torch.rand(8, 49, 8), (7, 7), (10, 14)).shape
        torch.Size([2, 10, 14, 8])
    """
    (height, width), channels = size, windows.shape[-1]
    rows, columns = -(-height // window[0]), -(-width // window[1])
    x = windows.reshape(-1, rows, columns, *window, channels).transpose(2, 3)
    x = x.reshape(-1, rows * window[0], columns * window[1], channels)
    top, left = _margins(height, window[0])[0], _margins(width, window[1])[0]
    return x[:, top : top + height, left : left + width]


def relative_position_index(window: Size) -> Tensor:
    """Number the offsets between the tokens of a window.

    Swin Transformer, https://arxiv.org/abs/2103.14030, section 3.2: an offset of (dy, dx) from a
    key to a query is number ``(dy + h - 1) * (2 w - 1) + dx + w - 1``.

    Args:
        window: Size of a window, (h, w).

    Returns:
        Numbers from 0 to (2 h - 1) * (2 w - 1) - 1, (h * w, h * w), int64: a row for each query, a
        column for each key.

    Example:
        >>> relative_position_index((1, 3)).tolist()
        [[2, 1, 0], [3, 2, 1], [4, 3, 2]]
    """
    h, w = window
    y, x = torch.arange(h).repeat_interleave(w), torch.arange(w).repeat(h)
    dy, dx = y[:, None] - y, x[:, None] - x
    return (dy + h - 1) * (2 * w - 1) + dx + w - 1


def _margins(length: int, window: int) -> tuple[int, int]:
    """Return the padding before and behind ``length`` tokens."""
    missing = -length % window
    return missing // 2, missing - missing // 2
