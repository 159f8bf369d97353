"""Gaussian heatmaps to keypoints, for all people and keypoints at once.

Keypoints are read where a heatmap is highest, with the help of the pixels around. Only those are
blurred; of the other pixels of a blurred heatmap, nothing but its maximum is ever needed, and that
hardly ever. See ``heatmap`` for what goes in and out.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from . import heatmap_cpu
from .heatmap import (
    cached,
    constant,
    for_arrays_too,
    from_pixels,
    highest_pixels,
    look_up,
    pixel_centres,
)

# Differences of logarithms are small, and so are their differences, by which is divided. (And on a
# GPU, products of single precision may be of less: TF32, autocast.)
PRECISE = torch.float64
# Gaussian kernels that OpenCV, and so MMPose, has as constants instead of by formula
SMALL_KERNELS = {
    3: (1, 2, 1),
    5: (1, 4, 6, 4, 1),
    7: (2, 7, 14, 18, 14, 7, 2),
    9: (4, 13, 30, 51, 60, 51, 30, 13, 4),
}


class Stencils(NamedTuple):
    """Weights of pixels in derivatives: along an axis, along an axis, and along both."""

    first: tuple[float, ...]
    second: tuple[float, ...]
    mixed: tuple[tuple[float, ...], ...]

    @property
    def reach(self) -> int:
        return len(self.first) // 2


DARK = Stencils(
    first=(0, -1 / 2, 0, 1 / 2, 0),
    second=(1 / 4, 0, -1 / 2, 0, 1 / 4),
    mixed=(
        (0, 0, 0, 0, 0),
        (0, 1 / 4, 0, -1 / 4, 0),
        (0, 0, 0, 0, 0),
        (0, -1 / 4, 0, 1 / 4, 0),
        (0, 0, 0, 0, 0),
    ),
)
UDP = Stencils(
    first=(-1 / 2, 0, 1 / 2),
    second=(1, -2, 1),
    mixed=((1 / 2, -1 / 2, 0), (-1 / 2, 1, -1 / 2), (0, -1 / 2, 1 / 2)),
)


@for_arrays_too
def decode_msra(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find keypoints: the highest pixel, moved a quarter pixel towards its higher neighbour.

    The quarter pixel is decided for each axis by itself, and only between the third and the last
    but one column (or row), as in MMPose.

    Args:
        heatmaps: (N, K, H, W), or any other leading dimensions.

    Returns:
        Keypoints (N, K, 2), float32, (-1, -1) where no pixel is positive, and scores (N, K), the
        values of the highest pixels.
    """
    if heatmap_cpu.can_read(heatmaps):
        return heatmap_cpu.read_heatmaps('msra', heatmaps)
    pixels, scores = highest_pixels(heatmaps)
    height, width = heatmaps.shape[-2:]
    # Right of the peak and below, left and above; nonsense beyond a border, which is not used
    step = constant((1, width, -1, -width), pixels.device).long()
    around = (pixels[..., None] + step).clamp_(0, height * width - 1)
    after, before = heatmaps.detach().flatten(-2).gather(-1, around).split(2, dim=-1)
    higher = (after > before).float() - (after < before).float()
    quarter = look_up(_quarter_pixels((width, height), pixels.device), pixels)
    return from_pixels(pixels, scores, heatmaps, higher * quarter), scores


@cached
def _quarter_pixels(heatmap_size: tuple[int, int], device: torch.device) -> Tensor:
    """How far a peak at each pixel may be moved, along x and y: (H * W, 2)."""
    centres = pixel_centres(heatmap_size, device)
    last = constant(heatmap_size, device) - 1
    return 0.25 * ((centres > 1) & (centres < last) & (centres.flip(-1) > 0))


@for_arrays_too
def decode_dark(heatmaps: Tensor, blur_kernel_size: int = 11) -> tuple[Tensor, Tensor]:
    """Find keypoints: from the highest pixel to the maximum of the parabola through its logarithm.

    A Gaussian's logarithm is a parabola. With D the logarithm of the blurred heatmap, the step is
    ``-D''^-1 D'``, where the first derivative spans one pixel to each side and the second one two
    (Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose Estimation",
    https://arxiv.org/abs/1910.06278, sections 3.1 and 3.2, as in MMPose's
    ``MSRAHeatmap(unbiased=True)``). There is no step nearer than two pixels to the border, nor
    where D'' has no inverse.

    Args:
        heatmaps: (N, K, H, W), or any other leading dimensions.
        blur_kernel_size: odd size of the Gaussian kernel in pixels, from 3.

    Returns:
        Keypoints (N, K, 2), float32, (-1, -1) where no pixel is positive, and scores (N, K), the
        values of the highest pixels, before blurring.

    Raises:
        ValueError: ``blur_kernel_size`` is even or below 3.
    """
    kernel = gaussian_kernel(blur_kernel_size)
    if heatmap_cpu.can_read(heatmaps, blur_kernel_size):
        return heatmap_cpu.read_heatmaps('dark', heatmaps, kernel)
    pixels, scores = highest_pixels(heatmaps)
    log = _blurred_log(heatmaps, pixels, scores, blur_kernel_size, DARK.reach, floor=1e-10)
    dx, dy, dxx, dxy, dyy = _derivatives(log, DARK)
    step, determinant = _newton(dx, dy, dxx, dxy, dyy)
    # Zero but for rounding
    singular = determinant.abs() <= 1e-9 * (dxx.abs() + dyy.abs()).square()
    height, width = heatmaps.shape[-2:]
    near_border = look_up(_near_border((width, height), pixels.device), pixels)
    step.masked_fill_(near_border | singular[..., None], 0)
    return from_pixels(pixels, scores, heatmaps, step), scores


@cached
def _near_border(heatmap_size: tuple[int, int], device: torch.device) -> Tensor:
    """Whether each pixel has fewer than two others beside it on some side: (H * W, 1)."""
    centres = pixel_centres(heatmap_size, device)
    last = constant(heatmap_size, device) - 1
    return ((centres < 2) | (centres > last - 2)).any(dim=-1, keepdim=True)


@for_arrays_too
def decode_udp(heatmaps: Tensor, blur_kernel_size: int = 11) -> tuple[Tensor, Tensor]:
    """Find keypoints as ``decode_dark``, with derivatives over one pixel, up to the border.

    Beyond the border, the logarithm goes on with the value that it has there. It is taken of
    values between 0.001 and 50 (Huang et al., "The Devil is in the Details: Delving into Unbiased
    Data Processing for Human Pose Estimation", https://arxiv.org/abs/1911.07524, as in MMPose's
    ``UDPHeatmap``).

    Args, Returns, Raises:
        As ``decode_dark``. Where no pixel is positive, stock reads pixels of other keypoints.
    """
    kernel = gaussian_kernel(blur_kernel_size)
    if heatmap_cpu.can_read(heatmaps, blur_kernel_size):
        return heatmap_cpu.read_heatmaps('udp', heatmaps, kernel)
    pixels, scores = highest_pixels(heatmaps)
    log = _blurred_log(heatmaps, pixels, scores, blur_kernel_size, UDP.reach, 1e-3, 50.0)
    dx, dy, dxx, dxy, dyy = _derivatives(log, UDP)
    # So that there is an inverse, also where all is flat
    epsilon = torch.finfo(torch.float32).eps
    step, _ = _newton(dx, dy, dxx + epsilon, dxy, dyy + epsilon)
    return from_pixels(pixels, scores, heatmaps, step), scores


def _derivatives(log: Tensor, stencils: Stencils) -> tuple[Tensor, ...]:
    """dx, dy, dxx, dxy, dyy (...) in the middle of patches (..., S, S)."""
    return (log.flatten(-2) @ _stencil_matrix(stencils, log.device)).unbind(dim=-1)


@cached
def _stencil_matrix(stencils: Stencils, device: torch.device) -> Tensor:
    """Weights of the pixels of a patch (S * S,) in dx, dy, dxx, dxy, dyy: (S * S, 5)."""
    first, second, mixed = (torch.tensor(s, dtype=PRECISE) for s in stencils)
    here = torch.zeros_like(first)
    here[stencils.reach] = 1
    pairs = [(here, first), (first, here), (here, second), (second, here)]  # along y, along x
    dx, dy, dxx, dyy = (torch.outer(y, x) for y, x in pairs)
    return torch.stack((dx, dy, dxx, mixed, dyy), dim=-1).flatten(0, 1).to(device)


def _newton(
    dx: Tensor, dy: Tensor, dxx: Tensor, dxy: Tensor, dyy: Tensor
) -> tuple[Tensor, Tensor]:
    """-D''^-1 D' (..., 2), and the determinant of D'' (...)."""
    determinant = dxx * dyy - dxy.square()
    step = torch.stack((dxy * dy - dyy * dx, dxy * dx - dxx * dy), dim=-1)
    return step / determinant[..., None], determinant


def _blurred_log(
    heatmaps: Tensor,
    pixels: Tensor,
    scores: Tensor,
    kernel_size: int,
    reach: int,
    floor: float,
    ceiling: float = torch.inf,
) -> Tensor:
    """Logarithms of blurred heatmaps around pixels (...): (..., 2 reach + 1, 2 reach + 1).

    A blurred heatmap is scaled until its maximum is that of the heatmap again, then limited from
    ``floor`` to ``ceiling``. Only the limits see the scale; derivatives of a logarithm do not.
    """
    height, width = heatmaps.shape[-2:]
    maps = heatmaps.detach().reshape(-1, height, width)
    blurred = _blurred_patches(maps, pixels.flatten(), kernel_size, reach)

    # Blurring lowers the maximum (it is a weighted mean, with zeros beyond the border). So the
    # scale is 1 or more, and what is above the floor already stays there; and what has been scaled
    # is nowhere above the old maximum.
    highest = scores.flatten().to(PRECISE)
    limited = (highest > 0) & ((blurred.amin((-2, -1)) < floor) | (highest > ceiling))
    # Which ones are limited, a device would have to be asked: there, it is done for all.
    if not heatmap_cpu.on_host(maps) or limited.any():
        chosen = limited.nonzero()[:, 0] if heatmap_cpu.on_host(maps) else slice(None)
        new_highest = highest.clone()
        new_highest[chosen] = _blurred_maximum(maps[chosen], kernel_size)
        scale = torch.where(new_highest > 0, highest / new_highest, 1)
        blurred = blurred * scale[:, None, None]
    return blurred.clamp(floor, ceiling).log().view(*heatmaps.shape[:-2], *blurred.shape[1:])


def _blurred_patches(maps: Tensor, pixels: Tensor, kernel_size: int, reach: int) -> Tensor:
    """Blurred maps (M, H, W) around pixels (M,): (M, 2 reach + 1, 2 reach + 1).

    A Gaussian blur is a matrix product from both sides. Only the rows of the left matrix and the
    columns of the right one that lead to the pixels around a peak are used, and of the map the
    window on which they depend.
    """
    count, height, width = maps.shape
    side = 2 * (kernel_size // 2 + reach) + 1
    rows, columns = min(side, height), min(side, width)
    table = _windows((width, height), (columns, rows), maps.device)
    start, x, y = look_up(table, pixels).unbind(dim=-1)

    # A window is made of runs of pixels, each within a row: much faster than pixel by pixel.
    start = start + torch.arange(0, maps.numel(), height * width, device=maps.device)
    starts = start[:, None] + torch.arange(0, rows * width, width, device=maps.device)
    runs = maps.flatten().unfold(0, columns, 1).index_select(0, starts.flatten())
    windows = runs.view(count, rows, columns).to(PRECISE)

    along_y = _blur_matrices(kernel_size, reach, rows, maps.device).index_select(0, y)
    along_x = _blur_matrices(kernel_size, reach, columns, maps.device).index_select(0, x)
    return along_y @ windows @ along_x.mT


@cached
def _windows(
    heatmap_size: tuple[int, int], window_size: tuple[int, int], device: torch.device
) -> Tensor:
    """Windows around each pixel, moved where they would go beyond a border.

    Returns:
        (H * W, 3): the place of a window's first pixel in the flat heatmap, and x and y of the
        pixel in its window.
    """
    sizes, windows = torch.tensor(heatmap_size), torch.tensor(window_size)
    centres = pixel_centres(heatmap_size, torch.device('cpu')).long()
    first = (centres - windows // 2).clamp(min=0).minimum(sizes - windows)
    start = first[:, 0] + first[:, 1] * heatmap_size[0]
    return torch.cat((start[:, None], centres - first), dim=-1).to(device)


def _blurred_maximum(maps: Tensor, kernel_size: int) -> Tensor:
    """Maxima of blurred maps (M, H, W): (M,)."""
    height, width = maps.shape[1:]
    left = _blur_matrices(kernel_size, 0, height, maps.device)[:, 0]
    right = _blur_matrices(kernel_size, 0, width, maps.device)[:, 0]
    return (left @ (maps.to(PRECISE) @ right.mT)).flatten(1).amax(dim=-1)


@cached
def _blur_matrices(kernel_size: int, reach: int, size: int, device: torch.device) -> Tensor:
    """Weights of ``size`` pixels in what a blur puts out around each of them.

    Returns:
        (size, 2 reach + 1, size): [p, i] is the kernel around pixel p + i - reach, or around the
        first or the last one if that is outside. Nothing is beyond the border.
    """
    kernel = gaussian_kernel(kernel_size)
    pixels = torch.arange(size)
    centre = (pixels[:, None] + torch.arange(-reach, reach + 1)).clamp(0, size - 1)
    place = pixels - centre[..., None] + kernel_size // 2
    weights = torch.where(
        (0 <= place) & (place < kernel_size), kernel[place.clamp(0, kernel_size - 1)], 0
    )
    return weights.to(device)


@cached
def gaussian_kernel(size: int) -> Tensor:
    """OpenCV's Gaussian kernel of an odd size, by its rule for sigma: (size,)."""
    check_kernel_size(size)
    if size in SMALL_KERNELS:
        kernel = torch.tensor(SMALL_KERNELS[size], dtype=torch.float64)
    else:
        sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
        offset = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
        kernel = (offset.square() / (-2 * sigma**2)).exp()
    return kernel / kernel.sum()


def check_kernel_size(size: int) -> None:
    """Raise a ValueError unless there is a blur of this size."""
    if int(size) != size or size < 3 or size % 2 == 0:
        raise ValueError(f'blur_kernel_size is {size}; expected an odd number from 3, such as 11')
