"""Keypoints to Gaussian heatmaps, for all people and keypoints at once.

A round Gaussian is the product of two profiles, one along each axis, so that exponentials are
needed for W + H values of a heatmap and not for W x H. See ``heatmap`` for what goes in and out.
"""

import torch
from torch import Tensor

from .heatmap import for_arrays_too

# exp of this, and the product of two of it, are as good as 0, but still normal numbers: processors
# are tens of times slower with the ones below, which are not (and exp of them has to go there).
LOWEST_EXPONENT = -43.0


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
    keypoints, radius, steepness = _prepare(keypoints, visible, sigma)
    first, last, peak = _square(keypoints, radius)
    inside = _inside(first, last, heatmap_size)
    maps = _draw_square(peak, steepness, first, last, inside & (visible >= 0.5), heatmap_size)
    return maps, _weights(visible, inside)


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
    keypoints, radius, steepness = _prepare(keypoints, visible, sigma)
    inside = _inside(keypoints - radius, keypoints + radius + 1, heatmap_size)
    drawn = inside & (visible >= 0.5)
    _, profiles = _profiles(keypoints, steepness, drawn, heatmap_size)
    profiles *= drawn[..., None, None]
    return _outer(profiles, heatmap_size), _weights(visible, inside)


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
    keypoints, radius, steepness = _prepare(keypoints, visible, sigma)
    first, last, peak = _square(keypoints, radius)
    peak = peak + (keypoints - _nearest(keypoints))
    inside = _inside(first, last, heatmap_size)
    maps = _draw_square(peak, steepness, first, last, inside & (visible >= 0.5), heatmap_size)
    return maps, _weights(visible, inside)


def _prepare(
    keypoints: Tensor, visible: Tensor, sigma: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Keypoints as floats; 3 sigma, to go with (N, K, 2); -1 / 2 sigma^2, with (N, K, 2, S)."""
    people = tuple(keypoints.shape[:-1])
    if tuple(visible.shape) != people:
        raise ValueError(
            f'visible has shape {tuple(visible.shape)}; expected {people}, one value per keypoint'
        )
    if not keypoints.is_floating_point():
        keypoints = keypoints.double()
    # A number becomes a tensor without dimensions, on the CPU: nothing is transferred.
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
    return torch.trunc(keypoints + 0.5)


def _square(keypoints: Tensor, radius: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First pixel, last pixel + 1 and peak of the square around the nearest pixel: each (N, K, 2).

    For whole numbers, that is centre -+ radius around the centre. Stock's square is
    [int(centre - radius), int(centre + radius + 1)), towards zero again, and its peak is put at
    the middle of a square that starts at ``first``.
    """
    centre = _nearest(keypoints)
    near, far = radius.floor(), radius.ceil()
    first = centre - torch.where(centre >= far, far, near)
    last = centre + torch.where(centre >= -radius - 1, near, far) + 1
    return first, last, first + (radius + 0.5).floor()


def _inside(first: Tensor, last: Tensor, heatmap_size: tuple[int, int]) -> Tensor:
    """Whether a square touches the heatmap: (N, K).

    One that ends exactly at the border (last == 0) counts as inside, although it is empty.
    """
    width, height = heatmap_size
    x_fits, y_fits = (first[..., 0] < width), (first[..., 1] < height)
    return x_fits & y_fits & (last >= 0).all(dim=-1)


def _weights(visible: Tensor, inside: Tensor) -> Tensor:
    return torch.where((visible >= 0.5) & ~inside, 0, visible)


def _profiles(
    peak: Tensor, steepness: Tensor, drawn: Tensor, heatmap_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Pixels (S,), and exp(-(i - peak)^2 / 2 sigma^2) of them (N, K, 2, S), of x and of y.

    S is the longer side: one operation for both axes takes less time than two.
    """
    # What is not drawn may be infinite or not a number.
    peak = torch.where(drawn[..., None], peak, 0)
    pixels = torch.arange(max(heatmap_size), dtype=peak.dtype, device=peak.device)
    exponent = (pixels - peak[..., None]).square() * steepness
    return pixels, exponent.clamp_(min=LOWEST_EXPONENT).exp_()


def _draw_square(
    peak: Tensor,
    steepness: Tensor,
    first: Tensor,
    last: Tensor,
    drawn: Tensor,
    heatmap_size: tuple[int, int],
) -> Tensor:
    """The Gaussians of keypoints that are drawn, 0 outside their squares: (N, K, H, W)."""
    # Nothing that is not drawn has a pixel.
    first = torch.where(drawn[..., None], first, 0)[..., None]
    last = torch.where(drawn[..., None], last, 0)[..., None]
    pixels, profiles = _profiles(peak, steepness, drawn, heatmap_size)
    # 1 for first <= pixel < last: these are whole numbers. (Faster than comparing them.)
    within = torch.minimum(pixels - (first - 1), last - pixels).clamp_(0, 1)
    return _outer(profiles.mul_(within), heatmap_size)


def _outer(profiles: Tensor, heatmap_size: tuple[int, int]) -> Tensor:
    """Profiles (N, K, 2, S) to heatmaps (N, K, H, W), float32."""
    width, height = heatmap_size
    x, y = profiles.float().unbind(dim=-2)
    return x[..., None, :width] * y[..., :height, None]
