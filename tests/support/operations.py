"""Which operations of PyTorch a module calls."""

from collections import Counter
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


class Recorder(TorchDispatchMode):
    """Record calls while it is active.

    Attributes:
        calls: Names of operations, such as ``aten::convolution``, and their arguments.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls.append((func.name().split('.')[0], args))
        return func(*args, **(kwargs or {}))


def operations(module: nn.Module, *inputs: Any) -> Counter[str]:
    """How often a module calls each operation, without gradients."""
    with torch.no_grad(), Recorder() as recorder:
        module(*inputs)
    return Counter(name for name, _ in recorder.calls)
