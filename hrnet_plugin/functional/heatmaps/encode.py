"""Encode keypoints as Gaussian heatmaps, for all instances and keypoints at once.

A round Gaussian is the product of two profiles, one along each axis: so only W + H values of a
heatmap need an exponential, not W x H.

Functions take tensors on any device and return tensors there, or take NumPy arrays and return
NumPy arrays. Coordinates are (x, y) in heatmap pixels; sizes are (width, height).
"""

import torch
from torch import Tensor

from .tensors import accepts_numpy, constant

# exp of this, and the product of two of it, are as good as 0, but still normal numbers: processors
# are tens of times slower with subnormal ones (and exp of lower exponents produces them).
LOWEST_EXPONENT = -43.0
# A coordinate far outside every heatmap
OUTSIDE = -1e9


@accepts_numpy
def encode_msra(
    keypoints: Tensor, visible: Tensor, heatmap_size: tuple[int, int], sigma: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Encode each keypoint as a Gaussian centred on the nearest pixel.

    The Gaussian is not normalised (its peak is 1) and ends with a square of ``6 sigma + 1`` pixels
    around its centre (Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking",
    https://arxiv.org/abs/1804.06208, section 3, in the convention of MMPose's ``MSRAHeatmap``).
    Published models use a sigma of 2 or 3; where 3 sigma is not a whole number, MMPose's
    convention places some Gaussians one pixel off.

    Args:
        keypoints: Keypoints (N, K, 2), in heatmap pixels; a tensor or a NumPy array.
        visible: Visibility (N, K); the heatmap of a keypoint below 0.5 is 0.
        heatmap_size: Width and height of the heatmaps.
        sigma: Standard deviation in heatmap pixels: a number, or a tensor that broadcasts to
            (N, K): (K,) for one per keypoint, (N, 1) for one per instance.

    Returns:
        Heatmaps (N, K, H, W), float32, without gradient; and weights (N, K): ``visible``, but 0
        where the whole square lies outside the heatmap.

    Raises:
        ValueError: ``visible`` is not (N, K) or on another device, or ``sigma`` does not
            broadcast to (N, K).

    Example:
        >>> import numpy as np
        >>> keypoints, visible = np.array([[[2.0, 1.3]]]), np.ones((1, 1))
        >>> heatmaps, weights = encode_msra(keypoints, visible, heatmap_size=(5, 3), sigma=1)
        >>> heatmaps[0, 0, :, 2].round(2), weights
        (array([0.61, 1.  , 0.61], dtype=float32), array([[1.]]))
    """
    return _encode(keypoints, visible, heatmap_size, sigma, truncate=True, subpixel=False)


@accepts_numpy
def encode_dark(
    keypoints: Tensor, visible: Tensor, heatmap_size: tuple[int, int], sigma: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Encode each keypoint as a Gaussian centred on it, over the whole heatmap.

    Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose Estimation",
    https://arxiv.org/abs/1910.06278, section 3.3, as by MMPose's ``MSRAHeatmap(unbiased=True)``.

    Args:
        keypoints: Keypoints (N, K, 2), in heatmap pixels; a tensor or a NumPy array.
        visible: Visibility (N, K); the heatmap of a keypoint below 0.5 is 0.
        heatmap_size: Width and height of the heatmaps.
        sigma: Standard deviation in heatmap pixels: a number, or a tensor that broadcasts to
            (N, K): (K,) for one per keypoint, (N, 1) for one per instance.

    Returns:
        Heatmaps (N, K, H, W), float32, without gradient; and weights (N, K): ``visible``, but 0
        from 3 sigma outside the heatmap, and where a keypoint is NaN (MMPose encodes it as a
        heatmap of NaN).

    Raises:
        ValueError: ``visible`` is not (N, K) or on another device, or ``sigma`` does not
            broadcast to (N, K).

    Example:
        >>> import numpy as np
        >>> keypoints, visible = np.array([[[2.0, 1.3]]]), np.ones((1, 1))
        >>> heatmaps, weights = encode_dark(keypoints, visible, heatmap_size=(5, 3), sigma=1)
        >>> heatmaps[0, 0, :, 2].round(2), weights
        (array([0.43, 0.96, 0.78], dtype=float32), array([[1.]]))
    """
    return _encode(keypoints, visible, heatmap_size, sigma, truncate=False, subpixel=True)


@accepts_numpy
def encode_udp(
    keypoints: Tensor, visible: Tensor, heatmap_size: tuple[int, int], sigma: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Encode each keypoint as a Gaussian centred on it, within the square of ``encode_msra``.

    Huang et al., "The Devil is in the Details: Delving into Unbiased Data Processing for Human
    Pose Estimation", https://arxiv.org/abs/1911.07524, as by MMPose's ``UDPHeatmap``.

    Args:
        keypoints: Keypoints (N, K, 2), in heatmap pixels; a tensor or a NumPy array.
        visible: Visibility (N, K); the heatmap of a keypoint below 0.5 is 0.
        heatmap_size: Width and height of the heatmaps.
        sigma: Standard deviation in heatmap pixels: a number, or a tensor that broadcasts to
            (N, K): (K,) for one per keypoint, (N, 1) for one per instance.

    Returns:
        Heatmaps (N, K, H, W), float32, without gradient; and weights (N, K): ``visible``, but 0
        where the whole square lies outside the heatmap.

    Raises:
        ValueError: ``visible`` is not (N, K) or on another device, or ``sigma`` does not
            broadcast to (N, K).

    Example:
        >>> import numpy as np
        >>> keypoints, visible = np.array([[[2.0, 1.3]]]), np.ones((1, 1))
        >>> heatmaps, weights = encode_udp(keypoints, visible, heatmap_size=(5, 3), sigma=1)
        >>> heatmaps[0, 0, :, 2].round(2), weights
        (array([0.43, 0.96, 0.78], dtype=float32), array([[1.]]))
    """
    return _encode(keypoints, visible, heatmap_size, sigma, truncate=True, subpixel=True)


def _encode(
    keypoints: Tensor,
    visible: Tensor,
    heatmap_size: tuple[int, int],
    sigma: float | Tensor,
    truncate: bool,
    subpixel: bool,
) -> tuple[Tensor, Tensor]:
    """Encode each keypoint as a Gaussian.

    Args:
        keypoints: Keypoints (N, K, 2).
        visible: Visibility (N, K).
        heatmap_size: Width and height.
        sigma: Standard deviation.
        truncate: Whether the Gaussian ends with a square, or covers the whole heatmap.
        subpixel: Whether it is centred on the keypoint, or on the nearest pixel.
    """
    shape = tuple(keypoints.shape[:-1])
    if tuple(visible.shape) != shape:
        raise ValueError(
            f'visible has shape {tuple(visible.shape)}; expected {shape}, one value per keypoint'
        )
    if visible.device != keypoints.device:
        raise ValueError(
            f'visible is on {visible.device}, but keypoints are on {keypoints.device}'
        )
    keypoints = keypoints.detach()
    if keypoints.dtype not in (torch.float32, torch.float64):
        keypoints = keypoints.double()
    radius, steepness = _radius_and_steepness(sigma, keypoints)
    is_visible = visible >= 0.5
    # NaN and invisible keypoints are encoded like those far outside.
    points = keypoints.nan_to_num(OUTSIDE).masked_fill_(~is_visible[..., None], OUTSIDE)
    width, height = heatmap_size
    # Both axes have the longer one's length, as one operation takes less time than two.
    pixels = constant(tuple(range(max(heatmap_size))), points.device)

    if truncate:
        # int(x + 0.5): towards zero, so that -0.9 becomes 0 and not -1
        centre = (points + 0.5).trunc_()
        peak, first, last = _square(centre, radius)
        if subpixel:
            peak = peak + (points - centre)
        inside, mask = _touches(first, last, heatmap_size), _between(first, last, pixels)
    else:
        inside = _touches(points - radius, points + radius + 1, heatmap_size)
        peak, mask = points, inside[..., None, None]

    exponent = (pixels - peak[..., None]).square_().mul_(steepness).clamp_(min=LOWEST_EXPONENT)
    x, y = exponent.exp_().mul_(mask).float().unbind(dim=-2)
    heatmaps = x[..., None, :width] * y[..., :height, None]
    return heatmaps, visible.masked_fill(is_visible & ~inside, 0)


def _radius_and_steepness(
    sigma: float | Tensor, keypoints: Tensor
) -> tuple[Tensor, Tensor | float]:
    """Return 3 sigma and -1 / 2 sigma^2: numbers, or (N, K, 1) and (N, K, 1, 1)."""
    if isinstance(sigma, (int, float)):
        # A tensor on the CPU is a number to operations on any device.
        return torch.tensor(3.0 * sigma, dtype=keypoints.dtype), -0.5 / sigma**2
    shape = tuple(keypoints.shape[:-1])
    sigmas = torch.as_tensor(sigma, dtype=keypoints.dtype, device=keypoints.device)
    try:
        fits = torch.broadcast_shapes(sigmas.shape, shape) == shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f'sigma has shape {tuple(sigmas.shape)}; expected a number, (K,), (N, 1) or (N, K) '
            f'for (N, K) = {shape}'
        )
    sigmas = sigmas.expand(shape)[..., None]
    return 3 * sigmas, -0.5 / sigmas.square()[..., None]


def _square(centre: Tensor, radius: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return peak, first pixel and last pixel + 1 of squares around pixels: (N, K, 2) each.

    Stock's square is [int(centre - radius), int(centre + radius + 1)), towards zero, and its peak
    is the middle of a square that starts at its first pixel.
    """
    first, last = (centre - radius).trunc_(), (centre + radius + 1).trunc_()
    return first + (radius + 0.5).floor(), first, last


def _touches(first: Tensor, last: Tensor, heatmap_size: tuple[int, int]) -> Tensor:
    """Whether squares [first, last), (N, K, 2), touch the heatmap: (N, K).

    One that ends exactly at the border (last == 0) does, although it is empty.
    """
    beyond = constant(heatmap_size, first.device)
    return ((first < beyond) & (last >= 0)).all(dim=-1)


def _between(first: Tensor, last: Tensor, pixels: Tensor) -> Tensor:
    """Return 1 for whole numbers first <= pixel < last, (N, K, 2), else 0: (N, K, 2, S).

    On a CPU, a comparison takes three times as long.
    """
    after, before = pixels - (first - 1)[..., None], last[..., None] - pixels
    return torch.minimum(after, before).clamp_(0, 1)
