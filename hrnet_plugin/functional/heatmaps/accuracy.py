"""Accuracy of heatmaps during training."""

from torch import Tensor

from .peaks import heatmap_peaks


def heatmap_accuracy(
    heatmaps: Tensor, target: Tensor, mask: Tensor, threshold: float = 0.05
) -> Tensor:
    """Compute the percentage of correct keypoints (PCK) among the peaks of heatmaps.

    A peak is correct when it lies nearer to the target's than ``threshold`` times the heatmap's
    size, each axis being measured by the other's size, as in MMPose's ``pose_pck_accuracy``.

    Args:
        heatmaps: Heatmaps (N, K, H, W), on any device.
        target: Heatmaps (N, K, H, W) to compare with.
        mask: (N, K), true for keypoints that count.
        threshold: Share of the heatmap's size.

    Returns:
        Scalar tensor from 0 to 1, on the device of the heatmaps: the mean over the keypoints that
        count anywhere, 0 if none does.

    Example:
        The first keypoint is right, the second is one pixel off:

        >>> import torch
        >>> target, heatmaps = torch.zeros(2, 1, 2, 8, 8)
        >>> target[0, :, 3, 4] = 1
        >>> heatmaps[0, 0, 3, 4] = heatmaps[0, 1, 3, 5] = 1
        >>> heatmap_accuracy(heatmaps, target, torch.tensor([[True, True]]))
        tensor(0.5000)
    """
    height, width = heatmaps.shape[-2:]
    offset = heatmap_peaks(heatmaps)[0] - heatmap_peaks(target)[0]
    distance = (offset / offset.new_tensor([height, width])).norm(dim=-1)
    correct = ((distance < threshold) & mask).sum(dim=0)
    counted = mask.sum(dim=0)
    present = counted > 0
    return (correct / counted.clamp(min=1)).sum() / present.sum().clamp(min=1)
