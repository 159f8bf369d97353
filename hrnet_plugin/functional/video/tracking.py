"""Associate instances of successive frames: by OKS, then by the overlap of their boxes."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..coco.oks import oks


@dataclass
class Track:
    """An instance through the frames of a video.

    Attributes:
        number: Number from 1, which is never used again.
        keypoints: Keypoints (K, 2) in the last frame with the instance, in pixels.
        visible: (K,), keypoints with a score of at least the tracker's ``min_score``.
        box: (4,), x1, y1, x2, y2 in pixels.
        seen: Number of that frame.
        velocity: (2,), in pixels per frame.
    """

    number: int
    keypoints: np.ndarray
    visible: np.ndarray
    box: np.ndarray
    seen: int
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def moved(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Predict keypoints and box in a frame, at constant velocity."""
        shift = self.velocity * (frame - self.seen)
        return self.keypoints + shift, self.box + np.tile(shift, 2)


class Tracker:
    """Number instances so that each keeps its number through the frames of a video.

    The most similar are matched first, by OKS and then, of the rest, by the overlap of boxes,
    which still identifies an instance that turned or moved fast.

    Args:
        sigmas: Standard deviations (K,) of the keypoints, as of OKS.
        min_oks: Lowest OKS of a match.
        min_iou: Lowest intersection over union of the boxes of a match.
        min_score: Lowest score of a keypoint that is compared.
        max_age: Number of frames without a match after which a track ends.
        patience: Former name of ``max_age``.

    Example:
        Two people change places in the list:

        >>> keypoints = np.array([[[10.0, 10.0], [20.0, 40.0]], [[200.0, 10.0], [210.0, 40.0]]])
        >>> scores = np.ones((2, 2))
        >>> boxes = np.array([[0.0, 0.0, 30.0, 50.0], [190.0, 0.0, 220.0, 50.0]])
        >>> tracker = Tracker(sigmas=[0.1, 0.1])
        >>> tracker.update(keypoints, scores, boxes)
        array([1, 2])
        >>> tracker.update(keypoints[::-1], scores, boxes[::-1])
        array([2, 1])
    """

    def __init__(
        self,
        sigmas: Sequence[float] | np.ndarray,
        min_oks: float = 0.3,
        min_iou: float = 0.3,
        min_score: float = 0.3,
        max_age: int = 30,
        patience: int | None = None,
    ) -> None:
        if patience is not None:
            _warn_about_patience(stacklevel=3)
            max_age = patience
        self.sigmas = np.asarray(sigmas)
        self.min_oks = min_oks
        self.min_iou = min_iou
        self.min_score = min_score
        self.max_age = max_age
        self.tracks: list[Track] = []
        self.frame = -1
        self.num_tracks = 0  # so far

    @property
    def patience(self) -> int:
        """Former name of ``max_age``."""
        _warn_about_patience(stacklevel=3)
        return self.max_age

    def update(self, keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Number the instances of the next frame.

        Args:
            keypoints: Keypoints (N, K, 2), in pixels.
            scores: Scores (N, K) of the keypoints.
            boxes: Boxes (N, 4), x1, y1, x2, y2 in pixels.

        Returns:
            Numbers (N,) from 1, all different.
        """
        self.frame += 1
        self.tracks = [t for t in self.tracks if self.frame - t.seen <= self.max_age]
        visible = scores >= self.min_score
        numbers = np.zeros(len(keypoints), np.int64)
        for track, n in self._matches(keypoints, visible, boxes):
            self._continue(track, keypoints[n], visible[n], boxes[n])
            numbers[n] = track.number
        for n in np.flatnonzero(numbers == 0):
            self.num_tracks += 1
            numbers[n] = self.num_tracks
            self.tracks.append(
                Track(self.num_tracks, keypoints[n], visible[n], boxes[n], self.frame)
            )
        return numbers

    def _matches(
        self, keypoints: np.ndarray, visible: np.ndarray, boxes: np.ndarray
    ) -> list[tuple[Track, int]]:
        """Return matched tracks and indices of instances."""
        if not self.tracks or not len(keypoints):
            return []
        expected = [track.moved(self.frame) for track in self.tracks]
        track_keypoints = np.stack([points for points, _ in expected])
        track_boxes = np.stack([box for _, box in expected])
        track_visible = np.stack([track.visible for track in self.tracks])
        similarity = oks(
            keypoints, track_keypoints, track_visible, areas(track_boxes), self.sigmas
        ).T
        by_oks = match(similarity, self.min_oks)
        overlap = iou(track_boxes, boxes)
        for track, n in by_oks:
            overlap[track], overlap[:, n] = -1, -1
        return [(self.tracks[t], n) for t, n in [*by_oks, *match(overlap, self.min_iou)]]

    def _continue(
        self, track: Track, keypoints: np.ndarray, visible: np.ndarray, box: np.ndarray
    ) -> None:
        both = track.visible & visible
        if both.any():
            moved = (keypoints[both] - track.keypoints[both]).mean(axis=0)
            # Average with the velocity so far, as a single difference is mostly noise.
            track.velocity = (track.velocity + moved / (self.frame - track.seen)) / 2
        track.keypoints, track.visible, track.box = keypoints, visible, box
        track.seen = self.frame


def match(similarity: np.ndarray, at_least: float) -> list[tuple[int, int]]:
    """Match rows with columns, the most similar first, each at most once.

    Args:
        similarity: Similarities (R, C).
        at_least: Lowest similarity of a match.

    Returns:
        Pairs of a row and a column.
    """
    pairs: list[tuple[int, int]] = []
    rows, columns = np.nonzero(similarity >= at_least)
    for i in np.argsort(-similarity[rows, columns], kind='stable'):
        row, column = int(rows[i]), int(columns[i])
        if all(row != r and column != c for r, c in pairs):
            pairs.append((row, column))
    return pairs


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute intersection over union (A, B) of boxes (A, 4) and (B, 4), x1, y1, x2, y2."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=-1)
    union = areas(a)[:, None] + areas(b)[None] - overlap
    return overlap / np.maximum(union, np.finfo(float).tiny)


def areas(boxes: np.ndarray) -> np.ndarray:
    """Compute areas (N,) of boxes (N, 4), x1, y1, x2, y2."""
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=-1)


def _warn_about_patience(stacklevel: int) -> None:
    warnings.warn(
        'patience of Tracker is now max_age; the former name goes with the next release',
        DeprecationWarning,
        stacklevel=stacklevel,
    )
