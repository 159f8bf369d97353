"""What ranks predictions: from box scores (N,), keypoint scores (N, K) and a threshold, (N,)."""

from collections.abc import Callable

import numpy as np

SCORE_THRESHOLD = 0.2  # of keypoints that count for the score of an instance


def _bbox(box: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    return box


def _keypoint(box: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    return keypoint.mean(axis=-1)


def _bbox_keypoint(box: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    """The box's score times the mean of the keypoint scores above the threshold."""
    good = keypoint > threshold
    # cumsum adds one by one, and so rounds as stock's loop does; sum adds in blocks.
    total = np.cumsum(np.where(good, keypoint, 0), axis=-1, dtype=keypoint.dtype)[:, -1]
    return box * (total / np.maximum(1, good.sum(axis=-1)).astype(keypoint.dtype))


def _bbox_rle(box: np.ndarray, keypoint: np.ndarray, threshold: float) -> np.ndarray:
    return (box + keypoint.mean(axis=-1) + keypoint.max(axis=-1)).astype(np.float64)


SCORE_MODES: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    'bbox': _bbox,
    'bbox_keypoint': _bbox_keypoint,
    'bbox_rle': _bbox_rle,
    'keypoint': _keypoint,
}
