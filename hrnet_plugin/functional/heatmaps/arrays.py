"""What encoding and decoding heatmaps share: NumPy arrays as tensors, cached constants, peaks.

Functions take tensors on any device and return tensors there, or take NumPy arrays and return
NumPy arrays. Coordinates are (x, y) in heatmap pixels; sizes are (width, height).
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

Array = TypeVar('Array', Tensor, np.ndarray)
P = ParamSpec('P')
# Results that each cached function keeps: a codec needs fewer than ten per device.
MAX_CACHED = 64


class ArrayFunction(Protocol):
    """A function whose results are of the kind of its first argument: tensors or arrays."""

    def __call__(self, first: Array, /, *args: Any, **kwargs: Any) -> tuple[Array, Array]: ...


def accepts_numpy(function: Callable[..., tuple[Tensor, Tensor]]) -> ArrayFunction:
    """Let a function of tensors accept NumPy arrays.

    If its first parameter is given as a NumPy array, by position or by name, all arrays are
    converted to tensors on the CPU, and the results to arrays.
    """
    name = next(iter(inspect.signature(function).parameters))

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else kwargs.get(name)
        if not isinstance(first, np.ndarray):
            return function(*args, **kwargs)
        results = function(*map(_tensor, args), **{k: _tensor(v) for k, v in kwargs.items()})
        return tuple(result.numpy() for result in results)

    return wrapped


@accepts_numpy
def heatmap_peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the highest pixel of each heatmap, the first in row order if there are several.

    Args:
        heatmaps: (..., H, W).

    Returns:
        Pixels (..., 2), float32 and (-1, -1) where no pixel is positive, and their values (...).
    """
    pixels, scores = highest_pixels(heatmaps)
    return from_pixels(pixels, scores, heatmaps), scores


def highest_pixels(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the highest pixel of each heatmap, the first in row order if there are several.

    Args:
        heatmaps: (..., H, W).

    Returns:
        Indices into flattened heatmaps (...), from 0 to H * W - 1, and values (...), at least
        float32.
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
    """Convert indices (...) into flattened heatmaps (..., H, W) to keypoints (..., 2), float32.

    ``offset`` is added. Keypoints with scores (...) of 0 or less are (-1, -1).
    """
    height, width = heatmaps.shape[-2:]
    keypoints = gather_rows(pixel_centres((width, height), pixels.device), pixels) + offset
    return keypoints.masked_fill_(scores[..., None] <= 0, -1).float()


def gather_rows(table: Tensor, indices: Tensor) -> Tensor:
    """Select rows (..., V) of a table (R, V) by indices (...)."""
    return table.index_select(0, indices.flatten()).view(*indices.shape, -1)


def is_cpu_eager(tensor: Tensor) -> bool:
    """Whether Python can read a tensor's values at no cost.

    Reading them from a device synchronises with it; under torch.compile and export, there are
    none to read.
    """
    return tensor.device.type == 'cpu' and not torch.compiler.is_compiling()


def cached(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Cache a function's most recently used constants, as a transfer synchronises the device."""
    kept: dict[tuple[Any, ...], Tensor] = {}

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        key = (args, tuple(kwargs.items()))
        result = kept.pop(key, None)
        if result is None:
            with torch.inference_mode(False):  # autograd refuses tensors made in inference mode
                result = function(*args, **kwargs)
            for oldest in list(kept)[: 1 - MAX_CACHED]:
                kept.pop(oldest, None)
        # Fake tensors, which replace tensors while a model is exported, must not outlive that.
        if type(result) is Tensor:
            kept[key] = result  # now the newest
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
