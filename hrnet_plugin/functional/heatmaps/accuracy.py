"""How often heatmaps peak in the right place."""

from torch import Tensor

from .arrays import heatmap_peaks


def heatmap_accuracy(
    heatmaps: Tensor, target: Tensor, mask: Tensor, threshold: float = 0.05
) -> Tensor:
    """Percentage of correct keypoints among the peaks of heatmaps, on their device.

    A peak is correct when it lies nearer to the target's than ``threshold`` times the heatmap's
    size, each axis being measured by the other's size, as in MMPose's ``pose_pck_accuracy``.

    Args:
        heatmaps: (N, K, H, W).
        target: (N, K, H, W).
        mask: (N, K), true for keypoints that count.

    Returns:
        Scalar from 0 to 1: the mean over the keypoints that count anywhere; 0 if none does.
    """
    height, width = heatmaps.shape[-2:]
    offset = heatmap_peaks(heatmaps)[0] - heatmap_peaks(target)[0]
    distance = (offset / offset.new_tensor([height, width])).norm(dim=-1)
    correct = ((distance < threshold) & mask).sum(dim=0)
    counted = mask.sum(dim=0)
    present = counted > 0
    return (correct / counted.clamp(min=1)).sum() / present.sum().clamp(min=1)
