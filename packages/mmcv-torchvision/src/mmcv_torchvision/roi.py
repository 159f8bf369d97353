"""Pooling of regions of interest (batch index, x1, y1, x2, y2), in pixels of the image."""

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

__all__ = ['roi_align_backward', 'roi_align_forward', 'roi_pool_backward', 'roi_pool_forward']

MAX = 0  # the pool_mode of roi_align that torchvision does not have


def _check_pool_mode(pool_mode: int) -> None:
    if pool_mode == MAX:
        raise NotImplementedError(
            "roi_align with pool_mode='max' is not among torchvision's kernels; use "
            "pool_mode='avg', roi_pool, or mmcv built from its sources"
        )


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill ``output`` (R, C, h, w) with averages of bilinear samples of ``input`` (N, C, H, W).

    Raises:
        NotImplementedError: ``pool_mode`` asks for the maximum.
    """
    _check_pool_mode(pool_mode)
    output.copy_(
        torch.ops.torchvision.roi_align(
            input,
            rois.to(input.dtype),
            spatial_scale,
            aligned_height,
            aligned_width,
            sampling_ratio,
            aligned,
        )
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill ``grad_input`` (N, C, H, W) with the gradient of ``roi_align_forward``.

    Raises:
        NotImplementedError: ``pool_mode`` asks for the maximum.
    """
    _check_pool_mode(pool_mode)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            grad_output,
            rois.to(grad_output.dtype),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fill ``output`` (R, C, h, w) with maxima over bins, ``argmax`` with where they are."""
    maxima, places = torch.ops.torchvision.roi_pool(
        input, rois.to(input.dtype), spatial_scale, pooled_height, pooled_width
    )
    output.copy_(maxima)
    argmax.copy_(places)


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fill ``grad_input`` (N, C, H, W) with the gradient of ``roi_pool_forward``."""
    grad_input.copy_(
        torch.ops.torchvision._roi_pool_backward(
            grad_output,
            rois.to(grad_output.dtype),
            argmax,
            spatial_scale,
            pooled_height,
            pooled_width,
            *grad_input.shape,
        )
    )
