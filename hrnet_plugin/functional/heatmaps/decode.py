"""Decode Gaussian heatmaps to keypoints, for all instances and keypoints at once.

The position of a keypoint is refined from the highest pixel by the pixels around it. Only those
are blurred; of the rest of a blurred heatmap, only the maximum is needed, and rarely.

Functions take tensors on any device and return tensors there, or take NumPy arrays and return
NumPy arrays. Coordinates are (x, y) in heatmap pixels; sizes are (width, height).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .peaks import from_pixels, highest_pixels, pixel_centres
from .tensors import accepts_numpy, cached, constant, gather_rows, is_cpu_eager

# Second differences of log-heatmaps are tiny and appear in a denominator: use float64. (And single
# precision matrix products may be less precise than that: TF32, autocast.)
PRECISE = torch.float64
# Gaussian kernels that OpenCV, and so MMPose, has as constants instead of by the formula
SMALL_KERNELS = {
    3: (1, 2, 1),
    5: (1, 4, 6, 4, 1),
    7: (2, 7, 14, 18, 14, 7, 2),
    9: (4, 13, 30, 51, 60, 51, 30, 13, 4),
}


class Stencils(NamedTuple):
    """Weights of pixels in the first, second and mixed derivative."""

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


@accepts_numpy
def decode_msra(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Decode to the highest pixel, moved a quarter pixel towards its higher neighbour.

    Each axis is decided separately, and only between the third and the last but one column (or
    row), as by MMPose's ``MSRAHeatmap`` (Xiao et al., "Simple Baselines for Human Pose Estimation
    and Tracking", https://arxiv.org/abs/1804.06208, section 3; the quarter pixel is that of Newell
    et al., "Stacked Hourglass Networks", https://arxiv.org/abs/1603.06937).

    Args:
        heatmaps: Heatmaps (N, K, H, W), or of any other leading dimensions; a tensor or a NumPy
            array.

    Returns:
        Keypoints (N, K, 2) in heatmap pixels, float32, (-1, -1) where no pixel is positive; and
        scores (N, K), the values of the highest pixels.

    Example:
        >>> import numpy as np
        >>> from hrnet_plugin.functional import encode_msra
        >>> keypoints, visible = np.array([[[9.3, 6.8]]]), np.ones((1, 1))
        >>> heatmaps, _ = encode_msra(keypoints, visible, heatmap_size=(24, 16), sigma=2)
        >>> keypoints, scores = decode_msra(heatmaps)
        >>> keypoints.round(2), scores.shape
        (array([[[9., 7.]]], dtype=float32), (1, 1))
    """
    pixels, scores = highest_pixels(heatmaps)
    height, width = heatmaps.shape[-2:]
    # Right of the peak and below, left and above; beyond a border, any pixel, as the step is 0
    step = constant((1, width, -1, -width), pixels.device).long()
    around = (pixels[..., None] + step).clamp_(0, height * width - 1)
    after, before = heatmaps.detach().flatten(-2).gather(-1, around).split(2, dim=-1)
    higher = (after > before).float() - (after < before).float()
    quarter = gather_rows(_quarter_pixels((width, height), pixels.device), pixels)
    return from_pixels(pixels, scores, heatmaps, higher * quarter), scores


@cached
def _quarter_pixels(heatmap_size: tuple[int, int], device: torch.device) -> Tensor:
    """Return how far a peak at each pixel may be moved along x and y: (H * W, 2)."""
    centres = pixel_centres(heatmap_size, device)
    last = constant(heatmap_size, device) - 1
    return 0.25 * ((centres > 1) & (centres < last) & (centres.flip(-1) > 0))


@accepts_numpy
def decode_dark(heatmaps: Tensor, blur_kernel_size: int = 11) -> tuple[Tensor, Tensor]:
    """Decode to the maximum of a parabola through the logarithm around the highest pixel.

    A Gaussian's logarithm is a parabola. With D the logarithm of the blurred heatmap, the step is
    ``-D''^-1 D'``, where the first derivative spans one pixel to each side and the second one two
    (Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose Estimation",
    https://arxiv.org/abs/1910.06278, sections 3.1 and 3.2, as in MMPose's
    ``MSRAHeatmap(unbiased=True)``). There is no step nearer than two pixels to the border, nor
    where D'' has no inverse.

    Args:
        heatmaps: Heatmaps (N, K, H, W), or of any other leading dimensions; a tensor or a NumPy
            array.
        blur_kernel_size: Size of the Gaussian kernel in pixels, odd and at least 3; MMPose's is 11
            for sigma 2 and 17 for sigma 3.

    Returns:
        Keypoints (N, K, 2) in heatmap pixels, float32, (-1, -1) where no pixel is positive;
        and scores (N, K), the values of the highest pixels before blurring.

    Raises:
        ValueError: ``blur_kernel_size`` is even or below 3.

    Example:
        >>> import numpy as np
        >>> from hrnet_plugin.functional import encode_dark
        >>> keypoints, visible = np.array([[[9.3, 6.8]]]), np.ones((1, 1))
        >>> heatmaps, _ = encode_dark(keypoints, visible, heatmap_size=(24, 16), sigma=2)
        >>> keypoints, scores = decode_dark(heatmaps)
        >>> keypoints.round(2), scores.shape
        (array([[[9.3, 6.8]]], dtype=float32), (1, 1))
    """
    pixels, scores = highest_pixels(heatmaps)
    log = _blurred_log(heatmaps, pixels, scores, blur_kernel_size, DARK.reach, floor=1e-10)
    dx, dy, dxx, dxy, dyy = _derivatives(log, DARK)
    step, determinant = _newton(dx, dy, dxx, dxy, dyy)
    # 0 within rounding
    singular = determinant.abs() <= 1e-9 * (dxx.abs() + dyy.abs()).square()
    height, width = heatmaps.shape[-2:]
    near_border = gather_rows(_near_border((width, height), pixels.device), pixels)
    step.masked_fill_(near_border | singular[..., None], 0)
    return from_pixels(pixels, scores, heatmaps, step), scores


@cached
def _near_border(heatmap_size: tuple[int, int], device: torch.device) -> Tensor:
    """Whether each pixel has fewer than two neighbours on some side: (H * W, 1)."""
    centres = pixel_centres(heatmap_size, device)
    last = constant(heatmap_size, device) - 1
    return ((centres < 2) | (centres > last - 2)).any(dim=-1, keepdim=True)


@accepts_numpy
def decode_udp(heatmaps: Tensor, blur_kernel_size: int = 11) -> tuple[Tensor, Tensor]:
    """Decode to the maximum of a parabola through the logarithm, with UDP's derivatives.

    As :func:`decode_dark`, but all derivatives span one pixel, and steps are made up to the
    border. The logarithm is of values clamped to [0.001, 50], and is continued beyond the border
    by its value there (Huang et al., "The Devil is in the Details: Delving into Unbiased Data
    Processing for Human Pose Estimation", https://arxiv.org/abs/1911.07524, as in MMPose's
    ``UDPHeatmap``).

    Args:
        heatmaps: Heatmaps (N, K, H, W), or of any other leading dimensions; a tensor or a NumPy
            array.
        blur_kernel_size: Size of the Gaussian kernel in pixels, odd and at least 3; MMPose's is 11
            for sigma 2 and 17 for sigma 3.

    Returns:
        Keypoints (N, K, 2) in heatmap pixels, float32, (-1, -1) where no pixel is positive (there,
        MMPose reads pixels of other keypoints); and scores (N, K), the values of the highest
        pixels before blurring.

    Raises:
        ValueError: ``blur_kernel_size`` is even or below 3.

    Example:
        >>> import numpy as np
        >>> from hrnet_plugin.functional import encode_udp
        >>> keypoints, visible = np.array([[[9.3, 6.8]]]), np.ones((1, 1))
        >>> heatmaps, _ = encode_udp(keypoints, visible, heatmap_size=(24, 16), sigma=2)
        >>> keypoints, scores = decode_udp(heatmaps)
        >>> keypoints.round(2), scores.shape
        (array([[[9.3, 6.8]]], dtype=float32), (1, 1))
    """
    pixels, scores = highest_pixels(heatmaps)
    log = _blurred_log(heatmaps, pixels, scores, blur_kernel_size, UDP.reach, 1e-3, 50.0)
    dx, dy, dxx, dxy, dyy = _derivatives(log, UDP)
    # D'' must be invertible where the heatmap is flat, too.
    epsilon = torch.finfo(torch.float32).eps
    step, _ = _newton(dx, dy, dxx + epsilon, dxy, dyy + epsilon)
    return from_pixels(pixels, scores, heatmaps, step), scores


def _derivatives(log: Tensor, stencils: Stencils) -> tuple[Tensor, ...]:
    """Return dx, dy, dxx, dxy, dyy (…) in the middle of patches (…, S, S)."""
    return (log.flatten(-2) @ _stencil_matrix(stencils, log.device)).unbind(dim=-1)


@cached
def _stencil_matrix(stencils: Stencils, device: torch.device) -> Tensor:
    """Return the weights (S * S, 5) of a patch's pixels in dx, dy, dxx, dxy, dyy."""
    first, second, mixed = (torch.tensor(s, dtype=PRECISE) for s in stencils)
    here = torch.zeros_like(first)
    here[stencils.reach] = 1
    pairs = [(here, first), (first, here), (here, second), (second, here)]  # along y, along x
    dx, dy, dxx, dyy = (torch.outer(y, x) for y, x in pairs)
    return torch.stack((dx, dy, dxx, mixed, dyy), dim=-1).flatten(0, 1).to(device)


def _newton(
    dx: Tensor, dy: Tensor, dxx: Tensor, dxy: Tensor, dyy: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the step -D''^-1 D' (…, 2), and the determinant of D'' (…)."""
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
    """Return logarithms of blurred heatmaps around pixels (…): (…, 2 reach + 1, 2 reach + 1).

    A blurred heatmap is scaled to its maximum before blurring, then clamped to ``floor`` and
    ``ceiling``. The scale affects only the clamp, not derivatives of a logarithm.
    """
    check_kernel_size(kernel_size)
    height, width = heatmaps.shape[-2:]
    maps = heatmaps.detach().reshape(-1, height, width)
    blurred = _blurred_patches(maps, pixels.flatten(), kernel_size, reach)

    # Blurring lowers the maximum (it is a weighted mean, with zeros beyond the border). So the
    # scale is at least 1, values above the floor stay above it, and no scaled value exceeds the
    # old maximum.
    highest = scores.flatten().to(PRECISE)
    clamped = (highest > 0) & ((blurred.amin((-2, -1)) < floor) | (highest > ceiling))
    # Selecting the clamped ones would synchronise a device: there, scale all.
    is_eager = is_cpu_eager(maps)
    if not is_eager or clamped.any():
        chosen = clamped.nonzero()[:, 0] if is_eager else slice(None)
        new_highest = highest.clone()
        new_highest[chosen] = _blurred_maximum(maps[chosen], kernel_size)
        scale = torch.where(new_highest > 0, highest / new_highest, 1)
        blurred = blurred * scale[:, None, None]
    return blurred.clamp(floor, ceiling).log().view(*heatmaps.shape[:-2], *blurred.shape[1:])


def _blurred_patches(maps: Tensor, pixels: Tensor, kernel_size: int, reach: int) -> Tensor:
    """Blur maps (M, H, W) around pixels (M,): (M, 2 reach + 1, 2 reach + 1).

    A Gaussian blur is a matrix product from both sides. Around a peak, it takes only a few rows of
    the left matrix, a few columns of the right one, and a window of the map.
    """
    count, height, width = maps.shape
    side = 2 * (kernel_size // 2 + reach) + 1
    rows, columns = min(side, height), min(side, width)
    table = _windows((width, height), (columns, rows), maps.device)
    start, x, y = gather_rows(table, pixels).unbind(dim=-1)

    # Gather a window row by row, which is much faster than pixel by pixel.
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
    """Return windows around each pixel, moved inside at the border.

    Returns:
        (H * W, 3): index of a window's first pixel in the flattened heatmap, and x and y of the
        pixel in its window.
    """
    sizes, windows = torch.tensor(heatmap_size), torch.tensor(window_size)
    centres = pixel_centres(heatmap_size, torch.device('cpu')).long()
    first = (centres - windows // 2).clamp(min=0).minimum(sizes - windows)
    start = first[:, 0] + first[:, 1] * heatmap_size[0]
    return torch.cat((start[:, None], centres - first), dim=-1).to(device)


def _blurred_maximum(maps: Tensor, kernel_size: int) -> Tensor:
    """Return the maxima (M,) of blurred maps (M, H, W)."""
    height, width = maps.shape[1:]
    left = _blur_matrices(kernel_size, 0, height, maps.device)[:, 0]
    right = _blur_matrices(kernel_size, 0, width, maps.device)[:, 0]
    return (left @ (maps.to(PRECISE) @ right.mT)).flatten(1).amax(dim=-1)


@cached
def _blur_matrices(kernel_size: int, reach: int, size: int, device: torch.device) -> Tensor:
    """Return weights of ``size`` pixels in the blurred pixels around each of them.

    Returns:
        (size, 2 reach + 1, size): [p, i] is the kernel around pixel p + i - reach, clamped to the
        border. Pixels beyond the border count as 0.
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
    """Return OpenCV's Gaussian kernel (size,) of an odd size, by its rule for sigma."""
    check_kernel_size(size)
    if size in SMALL_KERNELS:
        kernel = torch.tensor(SMALL_KERNELS[size], dtype=torch.float64)
    else:
        sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
        offset = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
        kernel = (offset.square() / (-2 * sigma**2)).exp()
    return kernel / kernel.sum()


def check_kernel_size(size: int) -> None:
    """Raise a ValueError unless the size is odd and at least 3."""
    if int(size) != size or size < 3 or size % 2 == 0:
        raise ValueError(f'blur_kernel_size is {size}; expected an odd number from 3, such as 11')
