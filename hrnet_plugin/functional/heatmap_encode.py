"""Keypoints to Gaussian heatmaps, for all people and keypoints at once.

A round Gaussian is the product of two profiles, one along each axis, so that exponentials are
needed for W + H values of a heatmap and not for W x H. See ``heatmap`` for what goes in and out.
"""

import math

import torch
from torch import Tensor

from . import heatmap_cpu
from .heatmap import constant, for_arrays_too

# exp of this, and the product of two of it, are as good as 0, but still normal numbers: processors
# are tens of times slower with the ones below, which are not (and exp of them has to go there).
LOWEST_EXPONENT = -43.0
# A place that no heatmap has
OUTSIDE = -1e9


@for_arrays_too
def encode_msra(
    keypoints: Tensor, visible: Tensor, heatmap_size: tuple[int, int], sigma: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Draw one Gaussian per keypoint, centred on the nearest pixel.

    The Gaussian is not normalised (its peak is 1) and ends with a square of ``6 sigma + 1`` pixels
    around its centre (Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking",
    section 3, in the convention of MMPose's ``MSRAHeatmap``).

    Args:
        keypoints: (N, K, 2), in heatmap pixels.
        visible: (N, K); a keypoint below 0.5 is not drawn.
        heatmap_size: (W, H).
        sigma: standard deviation in heatmap pixels: a number, or what can be broadcast to (N, K):
            (K,) for one per keypoint, (N, 1) for one per person. Published models use 2 and 3;
            where 3 sigma is not a whole number, MMPose's convention places some Gaussians one
            pixel off.

    Returns:
        Heatmaps (N, K, H, W), float32, without gradient, and weights (N, K): ``visible``, but 0
        where the whole square lies outside the heatmap.

    Raises:
        ValueError: ``visible`` is not (N, K) or on another device, or ``sigma`` cannot be
            broadcast to it.
    """
    return _encode('msra', keypoints, visible, heatmap_size, sigma)


@for_arrays_too
def encode_dark(
    keypoints: Tensor, visible: Tensor, heatmap_size: tuple[int, int], sigma: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Draw one Gaussian per keypoint, centred on it and not on a pixel, over the whole heatmap.

    Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose Estimation",
    https://arxiv.org/abs/1910.06278, section 3.3; stock's is ``MSRAHeatmap(unbiased=True)``.

    Args, Returns, Raises:
        As ``encode_msra``; the weight is 0 from 3 sigma outside the heatmap, and where a keypoint
        is not a number (stock draws a heatmap of NaN there).
    """
    return _encode('dark', keypoints, visible, heatmap_size, sigma)


@for_arrays_too
def encode_udp(
    keypoints: Tensor, visible: Tensor, heatmap_size: tuple[int, int], sigma: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Draw one Gaussian per keypoint, centred on it, within the square around the nearest pixel.

    Huang et al., "The Devil is in the Details: Delving into Unbiased Data Processing for Human
    Pose Estimation", https://arxiv.org/abs/1911.07524; stock's is ``UDPHeatmap``.

    Args, Returns, Raises:
        As ``encode_msra``.
    """
    return _encode('udp', keypoints, visible, heatmap_size, sigma)


def _encode(
    variant: str,
    keypoints: Tensor,
    visible: Tensor,
    heatmap_size: tuple[int, int],
    sigma: float | Tensor,
) -> tuple[Tensor, Tensor]:
    people = tuple(keypoints.shape[:-1])
    if tuple(visible.shape) != people:
        raise ValueError(
            f'visible has shape {tuple(visible.shape)}; expected {people}, one value per keypoint'
        )
    if visible.device != keypoints.device:
        raise ValueError(
            f'visible is on {visible.device}, but keypoints are on {keypoints.device}'
        )
    keypoints = keypoints.detach()
    if keypoints.dtype not in (torch.float32, torch.float64):
        keypoints = keypoints.double()
    radius, steepness = _shapes(sigma, keypoints)
    seen = visible >= 0.5
    if heatmap_cpu.can_draw(keypoints, heatmap_size):
        lowest = math.exp(LOWEST_EXPONENT)
        maps, outside = heatmap_cpu.draw_heatmaps(
            variant, keypoints, seen, radius, steepness, lowest, heatmap_size
        )
    else:
        # Outside, there is nothing to be drawn; and no number becomes infinite or none at all.
        points = keypoints.nan_to_num(OUTSIDE).masked_fill_(~seen[..., None], OUTSIDE)
        where = _everywhere if variant == 'dark' else _square
        peak, first, last, inside = where(points, radius, heatmap_size)
        if variant == 'udp':
            peak = peak + (points - _nearest(points))
        maps, outside = _draw(peak, first, last, steepness, heatmap_size), seen & ~inside
    return maps, visible.masked_fill(outside, 0)


def _shapes(sigma: float | Tensor, keypoints: Tensor) -> tuple[float | Tensor, float | Tensor]:
    """3 sigma and -1 / 2 sigma^2: numbers, or (N, K)."""
    if isinstance(sigma, (int, float)):
        return 3.0 * sigma, -0.5 / sigma**2
    people = tuple(keypoints.shape[:-1])
    widths = torch.as_tensor(sigma, dtype=keypoints.dtype, device=keypoints.device)
    try:
        fits = torch.broadcast_shapes(widths.shape, people) == people
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f'sigma has shape {tuple(widths.shape)}; expected a number, (K,), (N, 1) or (N, K) '
            f'for (N, K) = {people}'
        )
    widths = widths.expand(people)
    return 3 * widths, -0.5 / widths.square()


def _nearest(keypoints: Tensor) -> Tensor:
    """int(x + 0.5): towards zero, so that -0.9 becomes 0 and not -1."""
    return (keypoints + 0.5).trunc_()


def _everywhere(
    points: Tensor, radius: float | Tensor, heatmap_size: tuple[int, int]
) -> tuple[Tensor, ...]:
    """As ``_square``, but all of the heatmap, or nothing from 3 sigma outside."""
    if isinstance(radius, Tensor):
        radius = radius[..., None]
    inside = _inside(points - radius, points + radius + 1, heatmap_size)
    size = constant(heatmap_size, points.device)
    return points, torch.zeros_like(size), inside[..., None] * size, inside


def _square(
    points: Tensor, radius: float | Tensor, heatmap_size: tuple[int, int]
) -> tuple[Tensor, ...]:
    """Peak, first pixel and last pixel + 1 of the square around the nearest pixel, (N, K, 2), and
    whether it touches the heatmap, (N, K).

    Stock's square is [int(centre - radius), int(centre + radius + 1)), towards zero again, and its
    peak is put at the middle of a square that starts at its first pixel.
    """
    # Of a number, a tensor on the CPU, which no device has to wait for
    radius = torch.as_tensor(radius, dtype=points.dtype)
    if radius.ndim:
        radius = radius[..., None]
    centre = _nearest(points)
    first, last = (centre - radius).trunc_(), (centre + radius + 1).trunc_()
    return first + (radius + 0.5).floor(), first, last, _inside(first, last, heatmap_size)


def _inside(first: Tensor, last: Tensor, heatmap_size: tuple[int, int]) -> Tensor:
    """Whether squares [first, last), (N, K, 2), touch the heatmap: (N, K).

    One that ends exactly at the border (last == 0) does, although it is empty.
    """
    beyond = constant(heatmap_size, first.device)
    return ((first < beyond) & (last >= 0)).all(dim=-1)


def _draw(
    peak: Tensor,
    first: Tensor,
    last: Tensor,
    steepness: float | Tensor,
    heatmap_size: tuple[int, int],
) -> Tensor:
    """exp(-(pixel - peak)^2 / 2 sigma^2) for first <= pixel < last, (N, K, 2), and elsewhere 0:
    (N, K, H, W), float32.
    """
    if isinstance(steepness, Tensor):
        steepness = steepness[..., None, None]
    width, height = heatmap_size
    # Both axes have the longer one's length, as one operation takes less time than two.
    pixels = constant(tuple(range(max(heatmap_size))), peak.device)
    exponent = (pixels - peak[..., None]).square_().mul_(steepness).clamp_(min=LOWEST_EXPONENT)
    drawn = (first[..., None] <= pixels) & (pixels < last[..., None])
    x, y = (exponent.exp_() * drawn).float().unbind(dim=-2)
    return x[..., None, :width] * y[..., :height, None]
