"""mmcv's operations, computed by torchvision and torch on any device.

Functions have the names, parameters and results of ``mmcv._ext`` in mmcv 2.1.0, which
``mmcv.ops`` calls; many of them write their result into a tensor that they are given.
"""

from collections.abc import Callable
from typing import Any

from . import attention, boxes, deform_conv, focal_loss, roi, versions

MODULES = (attention, boxes, deform_conv, focal_loss, roi, versions)
OPERATIONS: dict[str, Callable[..., Any]] = {
    name: getattr(module, name) for module in MODULES for name in module.__all__
}
BUILD_MMCV = (
    'pip uninstall -y mmcv-lite mmcv-torchvision && '
    "pip install 'setuptools<81' wheel ninja && "
    'pip install --no-cache-dir --no-build-isolation --no-binary mmcv mmcv==2.1.0'
)


def get_operation(name: str) -> Callable[..., Any]:
    """Return an operation, or a function in its place that says how to get it when called.

    Args:
        name: Name of an attribute of ``mmcv._ext``.

    Raises:
        AttributeError: The name is one of Python's own, such as ``__path__``.
    """
    if name.startswith('__'):
        raise AttributeError(name)
    if name in OPERATIONS:
        return OPERATIONS[name]

    def unavailable(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f'mmcv._ext.{name} is not among the operations that mmcv-torchvision provides. It '
            f'needs mmcv built from its sources: {BUILD_MMCV} (with a C++ compiler; for a GPU '
            'also nvcc of the CUDA version that torch was built for)'
        )

    unavailable.__name__ = unavailable.__qualname__ = name
    return unavailable
