"""Scores that rank predicted instances, by the names of MMPose's ``score_mode``."""

from collections.abc import Callable

import numpy as np

# Keypoint score above which a keypoint counts for its instance's score, as in MMPose.
KEYPOINT_SCORE_THRESHOLD = 0.2


def score_instances(
    mode: str,
    bbox_scores: np.ndarray,
    keypoint_scores: np.ndarray,
    threshold: float = KEYPOINT_SCORE_THRESHOLD,
) -> np.ndarray:
    """Compute the score of each predicted instance, as MMPose's ``CocoMetric`` does.

    Args:
        mode: One of ``SCORE_MODES``: ``'bbox'``, the score of the box; ``'keypoint'``, the mean
            of the keypoint scores; ``'bbox_keypoint'``, the score of the box times the mean of
            the keypoint scores above the threshold; ``'bbox_rle'``, the score of the box plus the
            mean and the maximum of the keypoint scores.
        bbox_scores: Scores (N,) of the boxes.
        keypoint_scores: Scores (N, K) of the keypoints.
        threshold: Score above which a keypoint counts, for ``'bbox_keypoint'``.

    Returns:
        Scores (N,).

    Example:
        >>> score_instances('bbox_keypoint', np.array([0.5]), np.array([[0.9, 0.7, 0.1]]))
        array([0.4])
    """
    return SCORE_MODES[mode](bbox_scores, keypoint_scores, threshold)


def _bbox(bbox: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    return bbox


def _keypoint(bbox: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    return keypoint.mean(axis=-1)


def _bbox_keypoint(bbox: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    counts = keypoint > threshold
    # cumsum adds one by one, and so rounds as stock's loop does; sum adds in blocks.
    total = np.cumsum(np.where(counts, keypoint, 0), axis=-1, dtype=keypoint.dtype)[:, -1]
    return bbox * (total / np.maximum(1, counts.sum(axis=-1)).astype(keypoint.dtype))


def _bbox_rle(bbox: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    return (bbox + keypoint.mean(axis=-1) + keypoint.max(axis=-1)).astype(np.float64)


SCORE_MODES: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    'bbox': _bbox,
    'bbox_keypoint': _bbox_keypoint,
    'bbox_rle': _bbox_rle,
    'keypoint': _keypoint,
}
