"""What drawing and reading heatmaps share: arrays as tensors, and peaks.

Functions take tensors on any device and return tensors there, or take NumPy arrays and return
NumPy arrays. Coordinates are (x, y) in heatmap pixels; sizes are (width, height).
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from . import heatmap_cpu

Array = TypeVar('Array', Tensor, np.ndarray)
P = ParamSpec('P')


class TakesArrays(Protocol):
    """A function whose results are what its first argument is: tensors or arrays."""

    def __call__(self, first: Array, /, *args: Any, **kwargs: Any) -> tuple[Array, Array]: ...


def for_arrays_too(function: Callable[..., tuple[Tensor, Tensor]]) -> TakesArrays:
    """Let a function of tensors take NumPy arrays: then it returns NumPy arrays."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else next(iter(kwargs.values()))
        if not isinstance(first, np.ndarray):
            return function(*args, **kwargs)
        results = function(*map(_tensor, args), **{k: _tensor(v) for k, v in kwargs.items()})
        return tuple(result.numpy() for result in results)

    return wrapped


@for_arrays_too
def heatmap_peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the highest pixel of each heatmap, the first in row order if there are several.

    Args:
        heatmaps: (..., H, W).

    Returns:
        Pixels (..., 2), float32 and (-1, -1) where no pixel is positive, and their values (...).
    """
    if heatmap_cpu.can_read(heatmaps):
        return heatmap_cpu.read_heatmaps('peak', heatmaps)
    pixels, scores = highest_pixels(heatmaps)
    return from_pixels(pixels, scores, heatmaps), scores


def highest_pixels(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the highest pixel of each heatmap, the first in row order if there are several.

    Args:
        heatmaps: (..., H, W).

    Returns:
        Their places in flat heatmaps (...), from 0 to H * W - 1, and values (...), at least
        float32.
    """
    values = heatmaps.detach().flatten(-2)
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    if heatmap_cpu.on_host(values):
        # Here, torch's takes six times as long as NumPy's.
        pixels = torch.from_numpy(np.asarray(values.numpy().argmax(axis=-1)))
        return pixels, values.gather(-1, pixels[..., None])[..., 0]
    highest, pixels = values.max(dim=-1)
    return pixels, highest


def from_pixels(
    pixels: Tensor, scores: Tensor, heatmaps: Tensor, offset: Tensor | float = 0.0
) -> Tensor:
    """Keypoints (..., 2), float32, from places (...) in flat heatmaps (..., H, W), and an offset.

    Those with scores (...) of 0 or less are at (-1, -1).
    """
    height, width = heatmaps.shape[-2:]
    keypoints = look_up(pixel_centres((width, height), pixels.device), pixels) + offset
    return keypoints.masked_fill_(scores[..., None] <= 0, -1).float()


def look_up(table: Tensor, pixels: Tensor) -> Tensor:
    """Rows (..., V) of a table (H * W, V) with one for each pixel."""
    return table.index_select(0, pixels.flatten()).view(*pixels.shape, -1)


def cached(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Keep what a function has put on a device: a transfer waits for what the device is doing."""
    kept: dict[tuple[Any, ...], Tensor] = {}

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        key = (args, tuple(kwargs.items()))
        if key in kept:
            return kept[key]
        result = function(*args, **kwargs)
        # What stands in for a tensor while a model is exported must not outlive that.
        if type(result) is Tensor:
            kept[key] = result
        return result

    return wrapped


@cached
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers (V,) on a device, in single precision."""
    return torch.tensor(values, dtype=torch.float32, device=device)


@cached
def pixel_centres(heatmap_size: tuple[int, int], device: torch.device) -> Tensor:
    """(x, y) of each pixel, row by row: (H * W, 2)."""
    width, height = heatmap_size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return torch.stack((x, y), dim=-1).flatten(0, 1).float().to(device)


def _tensor(value: Any) -> Any:
    """Share the memory of an array, or copy it where torch cannot share it."""
    if not isinstance(value, np.ndarray):
        return value
    array = np.ascontiguousarray(value)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
