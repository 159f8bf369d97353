"""Overlaps and suppression of axis-aligned boxes (x1, y1, x2, y2).

``offset`` is 1 where a box includes the pixels of its right and lower edge, so that its width is
``x2 - x1 + 1``, and 0 otherwise.
"""

import numpy as np
import torch
import torchvision
from torch import Tensor

__all__ = ['bbox_overlaps', 'nms', 'nms_match', 'softnms']

NAIVE, LINEAR, GAUSSIAN = 0, 1, 2  # methods of softnms
IOU, IOF = 0, 1  # modes of bbox_overlaps


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Suppress boxes that overlap a box of a higher score.

    Args:
        boxes: Boxes (N, 4).
        scores: Scores (N,).
        iou_threshold: A box is suppressed where its IoU exceeds this.
        offset: 0 or 1.

    Returns:
        Indices of the boxes that are kept, by descending score: (M,), int64.
    """
    # torchvision sorts stably, compiled mmcv does not: its own sort decides among equal scores.
    order = scores.sort(dim=0, descending=True).indices
    ranks = torch.arange(len(order), 0, -1, dtype=boxes.dtype, device=boxes.device)
    corners = boxes[order]
    if offset:
        corners = corners + corners.new_tensor([0, 0, offset, offset])
    if boxes.dtype == torch.float32:
        iou_threshold = float(np.float32(iou_threshold))  # as compiled mmcv compares
    return order[torchvision.ops.nms(corners, ranks, iou_threshold)]


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Lower the scores of boxes that overlap a box of a higher score (Soft-NMS, arXiv 1704.04503).

    Args:
        boxes: Boxes (N, 4), on the CPU.
        scores: Scores (N,), on the CPU.
        dets: Filled with the M boxes that remain and their new scores: (N, 5), on the CPU.
        iou_threshold: Scores of boxes with at least this IoU are lowered, unless by a Gaussian.
        sigma: Width of the Gaussian.
        min_score: Boxes whose score falls below this are dropped.
        method: 0 sets scores to 0, 1 multiplies them by ``1 - IoU``, 2 by a Gaussian of the IoU.
        offset: 0 or 1.

    Returns:
        Indices of the boxes that remain, in the order of ``dets``: (M,), int64.
    """
    rows, values = boxes.numpy(), scores.numpy().copy()
    left = np.arange(len(rows))
    kept: list[int] = []
    with np.errstate(invalid='ignore', divide='ignore'):
        while len(left):
            position = int(values[left].argmax())
            best = left[position]
            kept.append(int(best))
            # The first of the others moves to where the best one was, and those that are dropped
            # are replaced from the end: this order decides among equal scores.
            left[position] = left[0]
            left = left[1:]
            iou = _iou_of_one(rows[best], rows[left], offset)
            values[left] *= _weights(iou, method, iou_threshold, sigma)
            left = _drop(left, values[left] < min_score)
    indices = torch.as_tensor(kept, dtype=torch.long)
    dets[: len(kept), :4] = boxes[indices]
    dets[: len(kept), 4] = torch.from_numpy(values)[indices]
    return indices


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group boxes with the box that suppresses them.

    Args:
        dets: Boxes and scores (N, 5).
        iou_threshold: A box is suppressed where its IoU is at least this.

    Returns:
        One list for each kept box: its index, then those of the boxes that it suppresses, by
        descending score.
    """
    order = dets[:, 4].sort(dim=0, descending=True).indices.cpu().numpy()
    rows = dets.detach().cpu().numpy()[:, :4]
    threshold = rows.dtype.type(iou_threshold)
    groups = []
    with np.errstate(invalid='ignore', divide='ignore'):
        while len(order):
            best, order = order[0], order[1:]
            suppressed = _iou_of_one(rows[best], rows[order], 0) >= threshold
            groups.append([int(best), *order[suppressed].tolist()])
            order = order[~suppressed]
    return groups


def bbox_overlaps(
    bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int
) -> None:
    """Compute overlaps of two sets of boxes.

    Args:
        bboxes1: Boxes (M, 4).
        bboxes2: Boxes (N, 4).
        ious: Filled with the overlaps: (M, N), or (M,) if ``aligned``; NaN where both are empty.
        mode: 0 divides the intersection by the union, 1 by the area of the first box.
        aligned: Compare the boxes pair by pair; then M equals N.
        offset: 0 or 1.
    """
    first = bboxes1 if aligned else bboxes1[:, None]
    low = torch.maximum(first[..., :2], bboxes2[..., :2])
    high = torch.minimum(first[..., 2:], bboxes2[..., 2:])
    overlap = (high - low + offset).clamp(min=0).prod(dim=-1)
    area = (first[..., 2:] - first[..., :2] + offset).prod(dim=-1)
    if mode == IOU:
        area = area + (bboxes2[..., 2:] - bboxes2[..., :2] + offset).prod(dim=-1) - overlap
    ious.copy_(overlap / area)


def _iou_of_one(box: np.ndarray, others: np.ndarray, offset: int) -> np.ndarray:
    """IoU of a box (4,) with others (N, 4): (N,)."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    overlap = np.maximum(high - low + offset, 0).prod(axis=1)
    area = (box[2:] - box[:2] + offset).prod()
    areas = (others[:, 2:] - others[:, :2] + offset).prod(axis=1)
    return overlap / (area + areas - overlap)


def _weights(iou: np.ndarray, method: int, iou_threshold: float, sigma: float) -> np.ndarray:
    """Factors by which Soft-NMS multiplies scores: (N,)."""
    if method == GAUSSIAN:
        return np.exp(-np.square(iou) / iou.dtype.type(sigma))
    lowered = 1 - iou if method == LINEAR else np.zeros_like(iou)
    return np.where(iou >= iou.dtype.type(iou_threshold), lowered, np.ones_like(iou))


def _drop(values: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """Remove values by moving the last remaining ones into their places."""
    count = np.count_nonzero(~dropped)
    values = values.copy()
    holes = np.flatnonzero(dropped[:count])
    movers = count + np.flatnonzero(~dropped[count:])
    values[holes] = values[movers[::-1]]
    return values[:count]
