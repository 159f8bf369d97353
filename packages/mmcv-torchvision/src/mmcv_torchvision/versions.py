"""What mmcv says of its build."""

import torch
import torchvision  # registers torch.ops.torchvision

__all__ = ['get_compiler_version', 'get_compiling_cuda_version']


def get_compiler_version() -> str:
    """Return what takes the place of compiled code."""
    return f'none (mmcv-torchvision on torchvision {torchvision.__version__})'


def get_compiling_cuda_version() -> str:
    """Return the CUDA version of torchvision's kernels, such as ``'13.0'``."""
    version = torch.ops.torchvision._cuda_version()
    if version <= 0:
        return 'not available'
    return f'{version // 1000}.{version // 10 % 100}'
