"""Find the highest pixels of heatmaps.

Functions take tensors on any device and return tensors there, or take NumPy arrays and return
NumPy arrays. Coordinates are (x, y) in heatmap pixels; sizes are (width, height).
"""

import numpy as np
import torch
from torch import Tensor

from .tensors import accepts_numpy, cached, gather_rows, is_cpu_eager


@accepts_numpy
def heatmap_peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the highest pixel of each heatmap, the first in row order if there are several.

    As ``get_heatmap_maximum`` of MMPose.

    Args:
        heatmaps: Heatmaps (…, H, W), a tensor or a NumPy array.

    Returns:
        Pixels (…, 2) as x and y, float32, (-1, -1) where no pixel is positive; and their values
        (…), at least float32.

    Example:
        >>> heatmaps = np.array([[[0.0, 0.2, 0.75], [0.0, 0.1, 0.3]]])
        >>> heatmap_peaks(heatmaps)
        (array([[2., 0.]], dtype=float32), array([0.75]))
    """
    pixels, scores = highest_pixels(heatmaps)
    return from_pixels(pixels, scores, heatmaps), scores


def highest_pixels(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the highest pixel of each heatmap, the first in row order if there are several.

    Args:
        heatmaps: Heatmaps (…, H, W).

    Returns:
        Indices (…) into flattened heatmaps, from 0 to H * W - 1; and values (…), at least float32.
    """
    values = heatmaps.detach().flatten(-2)
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    if is_cpu_eager(values):
        # torch's arg-max takes five times as long as NumPy's.
        pixels = torch.from_numpy(np.asarray(values.numpy().argmax(axis=-1)))
        return pixels, values.gather(-1, pixels[..., None])[..., 0]
    highest, pixels = values.max(dim=-1)
    return pixels, highest


def from_pixels(
    pixels: Tensor, scores: Tensor, heatmaps: Tensor, offset: Tensor | float = 0.0
) -> Tensor:
    """Convert indices into flattened heatmaps to keypoints.

    Args:
        pixels: Indices (…).
        scores: Values (…) of these pixels.
        heatmaps: Heatmaps (…, H, W).
        offset: Offset (…, 2) that is added, in pixels.

    Returns:
        Keypoints (…, 2), float32, (-1, -1) where scores are 0 or less.
    """
    height, width = heatmaps.shape[-2:]
    keypoints = gather_rows(pixel_centres((width, height), pixels.device), pixels) + offset
    return keypoints.masked_fill_(scores[..., None] <= 0, -1).float()


@cached
def pixel_centres(heatmap_size: tuple[int, int], device: torch.device) -> Tensor:
    """Return x and y of each pixel, row by row: (H * W, 2)."""
    width, height = heatmap_size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return torch.stack((x, y), dim=-1).flatten(0, 1).float().to(device)
