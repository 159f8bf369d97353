"""Object keypoint similarity (OKS), and the suppression of people found twice.

    OKS = mean over labelled keypoints i of exp(-d_i^2 / (2 s^2 k_i^2)),   k_i = 2 sigma_i,

where d_i is the distance between prediction and annotation, s^2 the person's area and sigma_i how
far annotators disagree about keypoint i (https://cocodataset.org/#keypoints-eval).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

COCO_SIGMAS: tuple[float, ...] = (
    0.026,  # nose
    *(0.025, 0.025),  # eyes
    *(0.035, 0.035),  # ears
    *(0.079, 0.079),  # shoulders
    *(0.072, 0.072),  # elbows
    *(0.062, 0.062),  # wrists
    *(0.107, 0.107),  # hips
    *(0.087, 0.087),  # knees
    *(0.089, 0.089),  # ankles
)
"""COCO's 17 sigmas, for data that comes without any; a data set's metainfo goes before them."""

# COCO divides by area + EPSILON, so that an area of 0 gives an OKS of 0 or 1 and not NaN.
EPSILON = np.spacing(1.0)


def oks(
    pred: np.ndarray,
    gt: np.ndarray,
    visible: np.ndarray,
    area: np.ndarray,
    sigmas: Sequence[float] | np.ndarray,
    bbox: np.ndarray | None = None,
) -> np.ndarray:
    """Compare every prediction with every annotated person, as COCO's evaluation does.

    Args:
        pred: (D, K, 2), predicted keypoints in image pixels.
        gt: (G, K, 2), annotated keypoints.
        visible: (G, K); a keypoint is labelled, and counts, where this is above 0.
        area: (G,), in square pixels.
        sigmas: (K,).
        bbox: (G, 4), boxes (x, y, w, h). A person without any labelled keypoint is compared by
            how far the prediction lies outside a box three times as wide and high; without
            ``bbox`` such a person has an OKS of 0 with everything.

    Returns:
        OKS, (D, G), float64 between 0 and 1.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    pred, gt = np.asarray(pred, np.float64), np.asarray(gt, np.float64)
    visible, area = np.asarray(visible), np.asarray(area, np.float64)
    check_keypoint_count('pred', pred, sigmas)
    check_keypoint_count('gt', gt, sigmas)
    people = len(gt)
    expected = {'visible': (people, len(sigmas)), 'area': (people,), 'bbox': (people, 4)}
    for name, value in dict(visible=visible, area=area, bbox=bbox).items():
        if value is not None and np.shape(value) != expected[name]:
            raise ValueError(f'{name} has shape {np.shape(value)}; expected {expected[name]}')
    boxes = None if bbox is None else np.asarray(bbox, np.float64)[None]
    return aligned_oks(pred[:, None], gt[None], visible[None], area[None], sigmas, boxes)


def aligned_oks(
    pred: np.ndarray,
    gt: np.ndarray,
    visible: np.ndarray,
    area: np.ndarray,
    sigmas: Sequence[float] | np.ndarray,
    bbox: np.ndarray | None = None,
) -> np.ndarray:
    """OKS of arrays whose leading dimensions broadcast against each other.

    Args:
        pred: (..., K, 2).
        gt: (..., K, 2).
        visible: (..., K).
        area: (...).
        sigmas: (K,).
        bbox: (..., 4), see :func:`oks`.

    Returns:
        OKS, (...).
    """
    distance2 = np.square(pred - gt).sum(axis=-1)
    counts = np.broadcast_to(visible > 0, distance2.shape)
    unlabelled = ~(visible > 0).any(axis=-1, keepdims=True)
    if bbox is not None and unlabelled.any():
        corner, size = bbox[..., None, :2], bbox[..., None, 2:]
        outside = np.maximum(0, (corner - size) - pred) + np.maximum(0, pred - (corner + 2 * size))
        distance2 = np.where(unlabelled, np.square(outside).sum(axis=-1), distance2)
        counts = counts | unlabelled
    exponent = distance2 / variances(sigmas) / (area[..., None] + EPSILON) / 2
    similarity = np.where(counts, np.exp(-exponent), 0).sum(axis=-1)
    return similarity / np.maximum(1, counts.sum(axis=-1))


def variances(sigmas: Sequence[float] | np.ndarray) -> np.ndarray:
    """k_i^2 = (2 sigma_i)^2, in the precision of the sigmas."""
    return np.square(2 * np.asarray(sigmas))


def check_keypoint_count(
    what: str, keypoints: np.ndarray, sigmas: Sequence[float] | np.ndarray
) -> None:
    """Raise a ValueError unless ``keypoints`` are (N, K, 2) with one sigma for each of the K."""
    if keypoints.ndim != 3 or keypoints.shape[-1] != 2:
        raise ValueError(f'{what} has shape {keypoints.shape}; expected (N, K, 2)')
    if keypoints.shape[1] != len(sigmas):
        raise ValueError(
            f'{what} has {keypoints.shape[1]} keypoints per person, but there are '
            f'{len(sigmas)} sigmas; give the sigmas of the same skeleton'
        )


def oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    sigmas: Sequence[float] | np.ndarray,
) -> np.ndarray:
    """Keep the best-scored person, drop those who resemble it, and so on down the scores.

    Args:
        keypoints: (N, K, 2), the people found in one image.
        scores: (N,).
        areas: (N,), in square pixels; two people are compared with the mean of theirs.
        threshold: people with an OKS above it are taken for the same person.
        sigmas: (K,).

    Returns:
        Indices of the kept, best score first.
    """
    alike = _mutual_oks(keypoints, areas, sigmas)
    order = np.argsort(scores)[::-1]
    keep = []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(best)
        order = order[alike[best, order] <= threshold]
    return np.array(keep, dtype=np.intp)


def soft_oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    sigmas: Sequence[float] | np.ndarray,
    max_dets: int = 20,
) -> np.ndarray:
    """Keep the best-scored person, lower the scores of those who resemble it, and so on.

    A score falls by ``exp(-OKS^2 / threshold)`` (Bodla et al., "Soft-NMS", equation 3, with OKS
    for the overlap). The lowered scores decide who comes next, and are not returned.

    Args:
        keypoints: (N, K, 2), the people found in one image.
        scores: (N,).
        areas: (N,), in square pixels.
        threshold: the width of the Gaussian above.
        sigmas: (K,).
        max_dets: how many to keep.

    Returns:
        Indices of the kept, in the order in which they were chosen.
    """
    alike = _mutual_oks(keypoints, areas, sigmas)
    scores = np.asarray(scores)
    order = np.argsort(scores)[::-1]
    scores = scores[order]
    keep: list[int] = []
    while len(order) and len(keep) < max_dets:
        best, rest = order[0], order[1:]
        keep.append(best)
        scores = scores[1:] * np.exp(-np.square(alike[best, rest]) / threshold)
        again = np.argsort(scores)[::-1]
        order, scores = rest[again], scores[again]
    return np.array(keep, dtype=np.intp)


def _mutual_oks(keypoints: Any, areas: Any, sigmas: Sequence[float] | np.ndarray) -> np.ndarray:
    """OKS (N, N) between predictions: every keypoint counts, and the area is the mean of both.

    It is computed in the precision of the input and rounded to float32, as MMPose does, so that
    the comparison with a threshold falls the same way.
    """
    keypoints, areas = np.asarray(keypoints), np.asarray(areas)
    check_keypoint_count('keypoints', keypoints, sigmas)
    delta = keypoints[None] - keypoints[:, None]
    distance2 = delta[..., 0] ** 2 + delta[..., 1] ** 2
    area = (areas[:, None] + areas[None]) / 2 + EPSILON
    exponent = distance2 / variances(sigmas) / area[..., None] / 2
    return (np.exp(-exponent).sum(axis=-1) / len(sigmas)).astype(np.float32)
