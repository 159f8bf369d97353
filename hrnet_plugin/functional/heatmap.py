"""Keypoints to Gaussian heatmaps and back, for all people and keypoints at once.

Functions take tensors on any device and return tensors there, or take NumPy arrays and return
NumPy arrays. Coordinates are (x, y) in heatmap pixels; sizes are (width, height).
"""

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Array = TypeVar('Array', Tensor, np.ndarray)


def encode_msra(
    keypoints: Array, visible: Array, heatmap_size: tuple[int, int], sigma: float
) -> tuple[Array, Array]:
    """Draw one Gaussian per keypoint, centred on the nearest pixel.

    The Gaussian is not normalised (its peak is 1) and ends with a square of ``6 sigma + 1`` pixels
    around its centre (Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking",
    section 3, in the convention of MMPose's ``MSRAHeatmap``).

    Args:
        keypoints: (N, K, 2), in heatmap pixels.
        visible: (N, K); a keypoint below 0.5 is not drawn.
        heatmap_size: (W, H).
        sigma: standard deviation in heatmap pixels. Published models use 2 and 3; where 3 sigma is
            not a whole number, MMPose's convention places some Gaussians one pixel off.

    Returns:
        Heatmaps (N, K, H, W), float32, and weights (N, K): ``visible``, but 0 where the whole
        square lies outside the heatmap.
    """
    if isinstance(keypoints, np.ndarray):
        maps, weights = encode_msra(_tensor(keypoints), _tensor(visible), heatmap_size, sigma)
        return maps.numpy(), weights.numpy()

    if not keypoints.is_floating_point():
        keypoints = keypoints.double()
    width, height = heatmap_size
    # int(x + 0.5): towards zero, so that -0.9 rounds to 0 and not to -1.
    centre = torch.trunc(keypoints + 0.5)

    # The square is [first, last): int(centre - 3 sigma) and int(centre + 3 sigma + 1), again
    # towards zero, and the peak is put at the middle of a square that starts at `first`. For whole
    # 3 sigma all of this is centre -+ 3 sigma, with the peak at the centre.
    radius = 3 * sigma
    near, far = math.floor(radius), math.ceil(radius)
    first = centre - torch.where(centre >= far, far, near)
    last = centre + torch.where(centre >= -radius - 1, near, far) + 1
    peak = first + (2 * radius + 1) // 2

    # A square that ends exactly at the border (last == 0) counts as inside, although it is empty.
    inside = (first[..., 0] < width) & (first[..., 1] < height) & (last >= 0).all(dim=-1)
    drawn = inside & (visible >= 0.5)

    def profile(axis: int, size: int) -> Tensor:
        """exp(-(i - peak)^2 / 2 sigma^2) along one axis, 0 outside the square: (N, K, size)."""
        i = torch.arange(size, device=keypoints.device)
        lo, hi, mu = (v[..., axis, None] for v in (first, last, peak))
        gaussian = torch.exp((i - mu).square() / (-2 * sigma**2))
        return torch.where(drawn[..., None] & (lo <= i) & (i < hi), gaussian, 0).float()

    # A round Gaussian is the product of its profiles.
    heatmaps = profile(0, width)[..., None, :] * profile(1, height)[..., :, None]
    return heatmaps, torch.where((visible >= 0.5) & ~inside, 0, visible)


def heatmap_peaks(heatmaps: Array) -> tuple[Array, Array]:
    """Find the highest pixel of each heatmap, the first in row order if there are several.

    Args:
        heatmaps: (..., H, W).

    Returns:
        Pixels (..., 2), float32 and (-1, -1) where no pixel is positive, and their values (...).
    """
    if isinstance(heatmaps, np.ndarray):
        peaks, scores = heatmap_peaks(_tensor(heatmaps))
        return peaks.numpy(), scores.numpy()

    scores, index = heatmaps.flatten(-2).max(dim=-1)
    width = heatmaps.shape[-1]
    peaks = torch.stack((index % width, index // width), dim=-1).float()
    peaks = torch.where(scores[..., None] <= 0, -1, peaks)
    return peaks, scores.to(torch.promote_types(scores.dtype, torch.float32))


def decode_msra(heatmaps: Array) -> tuple[Array, Array]:
    """Find keypoints: the highest pixel, moved a quarter pixel towards its higher neighbour.

    The quarter pixel is decided for each axis by itself, and only between the third and the last
    but one column (or row), as in MMPose.

    Args:
        heatmaps: (N, K, H, W), or any other leading dimensions.

    Returns:
        Keypoints (N, K, 2), float32, (-1, -1) where no pixel is positive, and scores (N, K), the
        values of the highest pixels.
    """
    if isinstance(heatmaps, np.ndarray):
        points, values = decode_msra(_tensor(heatmaps))
        return points.numpy(), values.numpy()

    peaks, scores = heatmap_peaks(heatmaps)
    height, width = heatmaps.shape[-2:]
    x, y = peaks.long().unbind(dim=-1)
    flat = heatmaps.flatten(-2)

    def value(x: Tensor, y: Tensor) -> Tensor:
        index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
        return flat.gather(-1, index[..., None])[..., 0]

    def quarter(before: Tensor, after: Tensor, allowed: Tensor) -> Tensor:
        return 0.25 * allowed * ((after > before).float() - (after < before).float())

    dx = quarter(value(x - 1, y), value(x + 1, y), (x > 1) & (x < width - 1) & (y > 0))
    dy = quarter(value(x, y - 1), value(x, y + 1), (y > 1) & (y < height - 1) & (x > 0))
    return peaks + torch.stack((dx, dy), dim=-1), scores


def _tensor(array: np.ndarray) -> Tensor:
    """Share the memory of an array, or copy it where torch cannot share it."""
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
