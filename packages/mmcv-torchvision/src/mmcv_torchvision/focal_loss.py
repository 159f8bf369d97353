"""Focal loss (arXiv 1708.02002): ``-alpha (1 - p)^gamma log p`` of the probability p of the label.

A label that is no class means background. ``weight`` holds one factor for each class, or nothing;
background has a factor of 1.
"""

import torch
from torch import Tensor

__all__ = [
    'sigmoid_focal_loss_backward',
    'sigmoid_focal_loss_forward',
    'softmax_focal_loss_backward',
    'softmax_focal_loss_forward',
]


def _log(p: Tensor) -> Tensor:
    """Logarithm of probabilities, cut off at the smallest normal float32 as in compiled mmcv."""
    return p.clamp(min=torch.finfo(torch.float32).tiny).log()


def _is_label(input: Tensor, target: Tensor) -> Tensor:
    """Whether a column is a row's label: (N, C)."""
    return torch.arange(input.shape[1], device=input.device) == target[:, None]


def _factors(weight: Tensor, target: Tensor, like: Tensor) -> Tensor:
    """Weight of each instance's label: (N,)."""
    factors = torch.ones(len(target), dtype=like.dtype, device=like.device)
    if len(weight):
        is_class = (target >= 0) & (target < len(weight))
        chosen = weight[target.clamp(0, len(weight) - 1)].to(like.dtype)
        factors = torch.where(is_class, chosen, factors)
    return factors


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``output`` (N, C) with the loss of logits ``input`` (N, C) for labels (N,)."""
    p = input.sigmoid()
    own = -alpha * (1 - p) ** gamma * _log(p)
    other = -(1 - alpha) * p**gamma * _log(1 - p)
    loss = torch.where(_is_label(input, target), own, other)
    output.copy_(loss * _factors(weight, target, loss)[:, None])


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``grad_input`` (N, C) with the derivative by the logits."""
    p = input.sigmoid()
    q = 1 - p
    own = -alpha * q**gamma * (q - gamma * p * _log(p))
    other = -(1 - alpha) * p**gamma * (gamma * q * _log(q) - p)
    gradient = torch.where(_is_label(input, target), own, other)
    grad_input.copy_(gradient * _factors(weight, target, gradient)[:, None])


def _label_probability(softmax: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of each instance's label (N,), and whether it has one."""
    is_class = (target >= 0) & (target < softmax.shape[1])
    label = target.clamp(0, softmax.shape[1] - 1)
    return softmax.gather(1, label[:, None])[:, 0], is_class


def softmax_focal_loss_forward(
    softmax: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``output`` (N,) with the loss of probabilities (N, C); 0 for background."""
    p, is_class = _label_probability(softmax, target)
    loss = -alpha * (1 - p) ** gamma * _log(p) * _factors(weight, target, p)
    output.copy_(torch.where(is_class, loss, 0))


def softmax_focal_loss_backward(
    softmax: Tensor,
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Fill ``grad_input`` (N, C) with the derivative by the logits, and ``buff`` (N,)."""
    p, is_class = _label_probability(softmax, target)
    q = 1 - p
    # A gamma of 0 leaves the first term only; 0 * q^-1 would be NaN where q is 0.
    modulation = gamma * q ** (gamma - 1) * p * _log(p) if gamma else 0
    slope = alpha * (modulation - q**gamma) * _factors(weight, target, p)
    buff.copy_(torch.where(is_class, slope, 0))
    grad_input.copy_(buff[:, None] * (_is_label(softmax, target).to(softmax) - softmax))
