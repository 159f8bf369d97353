"""Windows that tile a feature map, and where tokens lie in them.

Sizes are (height, width) in tokens. A map that windows do not tile is padded with zeros, the same
amount on both sides; an odd token goes to the bottom or the right.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]


def window_partition(x: Tensor, window: Size) -> Tensor:
    """Cut a map into windows, row by row.

    Args:
        x: (N, H, W, C).
        window: size of a window.

    Returns:
        (N * windows, window[0] * window[1], C), the windows of a sample next to each other.
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
    """Put windows together again and cut off the padding: the inverse of window_partition.

    Args:
        windows: (N * windows, window[0] * window[1], C).
        window: size of a window.
        size: (H, W) of the map.

    Returns:
        (N, H, W, C).
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

    Returns:
        (h * w, h * w), int64: row for query, column for key; 0 to (2 h - 1) * (2 w - 1) - 1.
    """
    h, w = window
    y, x = torch.arange(h).repeat_interleave(w), torch.arange(w).repeat(h)
    dy, dx = y[:, None] - y, x[:, None] - x
    return (dy + h - 1) * (2 * w - 1) + dx + w - 1


def _margins(length: int, window: int) -> tuple[int, int]:
    """Padding before and behind ``length`` tokens."""
    missing = -length % window
    return missing // 2, missing - missing // 2
