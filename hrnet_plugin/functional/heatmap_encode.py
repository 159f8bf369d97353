"""Keypoints to Gaussian heatmaps, for all people and keypoints at once.

A round Gaussian is the product of two profiles, one along each axis, so that exponentials are
needed for W + H values of a heatmap and not for W x H. See ``heatmap`` for what goes in and out.
"""

from typing import TypeGuard

import torch
from torch import Tensor

from .heatmap import cached, constant, for_arrays_too

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
        Heatmaps (N, K, H, W), float32, and weights (N, K): ``visible``, but 0 where the whole
        square lies outside the heatmap.

    Raises:
        ValueError: ``visible`` is not (N, K), or ``sigma`` cannot be broadcast to it.
    """
    points, radius, steepness = _prepare(keypoints, visible, sigma)
    first, last, peak = _square(points, radius)
    weights = _weights(visible, _inside(first, last, heatmap_size))
    if _is_whole(radius) and not isinstance(steepness, Tensor):
        profiles = _at_pixels(peak, steepness, radius, heatmap_size)
    else:
        profiles = _profiles(peak, steepness, heatmap_size)
        profiles *= _between(first, last, radius, heatmap_size)
    return _outer(profiles, heatmap_size), weights


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
    points, radius, steepness = _prepare(keypoints, visible, sigma)
    inside = _inside(points - radius, points + radius + 1, heatmap_size)
    weights = _weights(visible, inside)
    profiles = _profiles(points, steepness, heatmap_size)
    profiles *= inside[..., None, None]
    return _outer(profiles, heatmap_size), weights


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
    points, radius, steepness = _prepare(keypoints, visible, sigma)
    first, last, peak = _square(points, radius)
    weights = _weights(visible, _inside(first, last, heatmap_size))
    profiles = _profiles(peak + (points - _nearest(points)), steepness, heatmap_size)
    profiles *= _between(first, last, radius, heatmap_size)
    return _outer(profiles, heatmap_size), weights


def _prepare(
    keypoints: Tensor, visible: Tensor, sigma: float | Tensor
) -> tuple[Tensor, float | Tensor, float | Tensor]:
    """Keypoints (N, K, 2) as floats, far outside if they are not seen; 3 sigma, to go with them;
    and -1 / 2 sigma^2, to go with (N, K, 2, S).
    """
    people = tuple(keypoints.shape[:-1])
    if tuple(visible.shape) != people:
        raise ValueError(
            f'visible has shape {tuple(visible.shape)}; expected {people}, one value per keypoint'
        )
    if not keypoints.is_floating_point():
        keypoints = keypoints.double()
    # Outside, there is nothing to be drawn; and no number becomes infinite or none at all.
    keypoints = keypoints.nan_to_num(OUTSIDE).masked_fill_(~_seen(visible)[..., None], OUTSIDE)
    if isinstance(sigma, (int, float)):
        return keypoints, 3.0 * sigma, -0.5 / sigma**2
    widths = torch.as_tensor(sigma, dtype=keypoints.dtype)
    try:
        fits = torch.broadcast_shapes(widths.shape, people) == people
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f'sigma has shape {tuple(widths.shape)}; expected a number, (K,), (N, 1) or (N, K) '
            f'for (N, K) = {people}'
        )
    radius, steepness = 3 * widths, -0.5 / widths.square()
    if widths.ndim:
        radius, steepness = radius[..., None], steepness[..., None, None]
    return keypoints, radius, steepness


def _nearest(keypoints: Tensor) -> Tensor:
    """int(x + 0.5): towards zero, so that -0.9 becomes 0 and not -1."""
    return (keypoints + 0.5).trunc_()


def _is_whole(radius: float | Tensor) -> TypeGuard[float]:
    """Whether a radius is a whole number of pixels, the same for all, as published models' is."""
    return isinstance(radius, float) and radius.is_integer()


def _square(points: Tensor, radius: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First pixel, last pixel + 1 and peak of the square around the nearest pixel: each (N, K, 2).

    Stock's square is [int(centre - radius), int(centre + radius + 1)), towards zero again, and its
    peak is put at the middle of a square that starts at ``first``.
    """
    centre = _nearest(points)
    if _is_whole(radius):
        return centre - radius, centre + (radius + 1), centre
    radius = torch.as_tensor(radius)  # of a number, on the CPU: nothing is transferred
    near, far = radius.floor(), radius.ceil()
    first = centre - torch.where(centre >= far, far, near)
    last = centre + torch.where(centre >= -radius - 1, near, far) + 1
    return first, last, first + (radius + 0.5).floor()


def _seen(visible: Tensor) -> Tensor:
    return visible >= 0.5


def _inside(first: Tensor, last: Tensor, heatmap_size: tuple[int, int]) -> Tensor:
    """Whether squares [first, last), (N, K, 2), touch the heatmap: (N, K).

    One that ends exactly at the border (last == 0) does, although it is empty.
    """
    beyond = constant(heatmap_size, first.device)
    return ((first < beyond) & (last >= 0)).all(dim=-1)


def _weights(visible: Tensor, inside: Tensor) -> Tensor:
    return visible.masked_fill(_seen(visible) & ~inside, 0)


def _pixels(peak: Tensor, heatmap_size: tuple[int, int]) -> Tensor:
    """(S,): both axes have the longer one's length, as one operation takes less time than two."""
    return constant(tuple(range(max(heatmap_size))), peak.device)


def _profiles(peak: Tensor, steepness: float | Tensor, heatmap_size: tuple[int, int]) -> Tensor:
    """exp(-(pixel - peak)^2 / 2 sigma^2), of x and of y: (N, K, 2, S)."""
    distance = _pixels(peak, heatmap_size) - peak[..., None]
    return distance.square_().mul_(steepness).clamp_(min=LOWEST_EXPONENT).exp_()


def _between(
    first: Tensor, last: Tensor, radius: float | Tensor, heatmap_size: tuple[int, int]
) -> Tensor:
    """1 for first <= pixel < last, which are whole numbers, else 0: (N, K, 2, S).

    (Faster than comparing them.)
    """
    if _is_whole(radius):
        return _at_pixels(first + radius, 0.0, radius, heatmap_size)
    pixels = _pixels(first, heatmap_size)
    after, before = pixels - (first - 1)[..., None], last[..., None] - pixels
    return torch.minimum(after, before).clamp_(0, 1)


def _at_pixels(
    peak: Tensor, steepness: float, radius: float, heatmap_size: tuple[int, int]
) -> Tensor:
    """Profiles with a peak at a pixel, 0 from ``radius`` on: (N, K, 2, S), looked up."""
    side = max(heatmap_size)
    table = _profile_table(steepness, radius, side, peak.device)
    row = peak.clamp(-radius - 1, side + radius).add_(radius + 1).long()
    return table.index_select(0, row.flatten()).view(*row.shape, side)


@cached
def _profile_table(steepness: float, radius: float, side: int, device: torch.device) -> Tensor:
    """Profiles of ``side`` pixels, with a peak at each of them and so far beyond as one shows."""
    peak = torch.arange(-radius - 1, side + radius + 1, dtype=torch.float64)
    distance = torch.arange(side) - peak[:, None]
    profiles = (distance.square() * steepness).exp() * (distance.abs() <= radius)
    return profiles.float().to(device)


def _outer(profiles: Tensor, heatmap_size: tuple[int, int]) -> Tensor:
    """Profiles (N, K, 2, S) to heatmaps (N, K, H, W), float32."""
    width, height = heatmap_size
    x, y = profiles.float().unbind(dim=-2)
    return x[..., None, :width] * y[..., :height, None]
