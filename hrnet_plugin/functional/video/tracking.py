"""Who is who from one frame to the next: people are matched by OKS, then by their boxes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..coco.oks import oks


@dataclass
class Track:
    """Somebody who was seen.

    Attributes:
        number: counts from 1 and is never used again.
        keypoints: (K, 2), where last seen, in pixels.
        visible: (K,), which of them were found.
        box: (4,), x1, y1, x2, y2.
        seen: number of the frame.
        velocity: (2,), pixels a frame.
    """

    number: int
    keypoints: np.ndarray
    visible: np.ndarray
    box: np.ndarray
    seen: int
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def moved(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints and box where they should be by now, if nothing changed its course."""
        shift = self.velocity * (frame - self.seen)
        return self.keypoints + shift, self.box + np.tile(shift, 2)


class Tracker:
    """Gives people the number that they had in the frames before.

    Those most alike are matched first, by OKS and then, of the rest, by the overlap of boxes,
    which still tells when somebody turned or moved fast.

    Args:
        sigmas: (K,), as of OKS.
        min_oks: below it, two poses are not of the same person.
        min_iou: the same for boxes.
        min_score: a keypoint with a lower score is not compared.
        patience: frames after which somebody who is not seen is forgotten.
    """

    def __init__(
        self,
        sigmas: Sequence[float] | np.ndarray,
        min_oks: float = 0.3,
        min_iou: float = 0.3,
        min_score: float = 0.3,
        patience: int = 30,
    ) -> None:
        self.sigmas = np.asarray(sigmas)
        self.min_oks = min_oks
        self.min_iou = min_iou
        self.min_score = min_score
        self.patience = patience
        self.tracks: list[Track] = []
        self.frame = -1
        self.people = 0

    def update(self, keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Number the people of the next frame.

        Args:
            keypoints: (N, K, 2), in pixels.
            scores: (N, K).
            boxes: (N, 4), x1, y1, x2, y2.

        Returns:
            Numbers, (N,), from 1; no two are equal.
        """
        self.frame += 1
        self.tracks = [t for t in self.tracks if self.frame - t.seen <= self.patience]
        visible = scores >= self.min_score
        numbers = np.zeros(len(keypoints), np.int64)
        for track, person in self._matches(keypoints, visible, boxes):
            self._follow(track, keypoints[person], visible[person], boxes[person])
            numbers[person] = track.number
        for person in np.flatnonzero(numbers == 0):
            self.people += 1
            numbers[person] = self.people
            self.tracks.append(
                Track(self.people, keypoints[person], visible[person], boxes[person], self.frame)
            )
        return numbers

    def _matches(
        self, keypoints: np.ndarray, visible: np.ndarray, boxes: np.ndarray
    ) -> list[tuple[Track, int]]:
        if not self.tracks or not len(keypoints):
            return []
        expected = [track.moved(self.frame) for track in self.tracks]
        before = np.stack([points for points, _ in expected])
        before_boxes = np.stack([box for _, box in expected])
        seen = np.stack([track.visible for track in self.tracks])
        alike = oks(keypoints, before, seen, areas(before_boxes), self.sigmas).T
        pairs = match(alike, self.min_oks)
        rest = iou(before_boxes, boxes)
        for track, person in pairs:
            rest[track], rest[:, person] = -1, -1
        return [(self.tracks[t], p) for t, p in [*pairs, *match(rest, self.min_iou)]]

    def _follow(
        self, track: Track, keypoints: np.ndarray, visible: np.ndarray, box: np.ndarray
    ) -> None:
        both = track.visible & visible
        if both.any():
            moved = (keypoints[both] - track.keypoints[both]).mean(axis=0)
            # Half of what was known: one frame's difference is mostly noise.
            track.velocity = (track.velocity + moved / (self.frame - track.seen)) / 2
        track.keypoints, track.visible, track.box = keypoints, visible, box
        track.seen = self.frame


def match(similarity: np.ndarray, at_least: float) -> list[tuple[int, int]]:
    """Pair rows with columns, the most similar first, each once.

    Args:
        similarity: (R, C).
        at_least: pairs below it are left alone.
    """
    pairs: list[tuple[int, int]] = []
    rows, columns = np.nonzero(similarity >= at_least)
    for i in np.argsort(-similarity[rows, columns], kind='stable'):
        row, column = int(rows[i]), int(columns[i])
        if all(row != r and column != c for r, c in pairs):
            pairs.append((row, column))
    return pairs


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Overlap over union of boxes (A, 4) and (B, 4), x1, y1, x2, y2: (A, B)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=-1)
    union = areas(a)[:, None] + areas(b)[None] - overlap
    return overlap / np.maximum(union, np.finfo(float).tiny)


def areas(boxes: np.ndarray) -> np.ndarray:
    """Areas (N,) of boxes (N, 4), x1, y1, x2, y2."""
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=-1)
