"""Tensors: NumPy arrays in their place, cached constants, rows of tables."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

Array = TypeVar('Array', Tensor, np.ndarray)
P = ParamSpec('P')
# Number of results that each cached function keeps: a codec needs fewer than ten per device.
MAX_CACHED = 64


class ArrayFunction(Protocol):
    """A function that returns tensors for tensors, and NumPy arrays for NumPy arrays."""

    def __call__(self, first: Array, /, *args: Any, **kwargs: Any) -> tuple[Array, Array]: ...


def accepts_numpy(function: Callable[..., tuple[Tensor, Tensor]]) -> ArrayFunction:
    """Let a function of tensors accept NumPy arrays.

    If its first argument is a NumPy array, given by position or by name, all arrays are converted
    to tensors on the CPU, and the results to arrays.

    Args:
        function: Function of tensors that returns a tuple of tensors.
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


def gather_rows(table: Tensor, indices: Tensor) -> Tensor:
    """Select rows (…, V) of a table (R, V) by indices (…)."""
    return table.index_select(0, indices.flatten()).view(*indices.shape, -1)


def is_cpu_eager(tensor: Tensor) -> bool:
    """Whether Python can read a tensor's values at no cost.

    Reading from a device synchronises with it; under torch.compile and export, there are no values
    to read.
    """
    return tensor.device.type == 'cpu' and not torch.compiler.is_compiling()


def cached(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Cache the most recently used constants of a function: a transfer synchronises the device."""
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
    """Return numbers (V,) on a device, in single precision."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def _tensor(value: Any) -> Any:
    """Share the memory of an array, or copy it where torch cannot share it."""
    if not isinstance(value, np.ndarray):
        return value
    array = np.ascontiguousarray(value)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
