"""Boxes that the caller knows."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...functional.coco.units import OUTSIDE, TINY, outside_image, smaller_than_pixel
from ..inputs.sources import Frame, Images, Source

SHOWN = 3


class GivenBoxes:
    """Boxes of each image of a source, without those in which nothing of the image is.

    Args:
        boxes_of: boxes (N, 5) of an image: x1, y1, x2, y2 and a score.
        where: what they come from, for notes.
        sizes: of each image, (w, h) in pixels, as far as it is known.
        frames: of a video, the numbers of those that have boxes.
    """

    def __init__(
        self,
        boxes_of: Callable[[Frame], np.ndarray],
        where: str,
        sizes: Sequence[tuple[float, float] | None] = (),
        frames: Sequence[int] | None = None,
    ) -> None:
        self.boxes_of = boxes_of
        self.where = where
        self.sizes = sizes
        self.frames = frames
        self.seen = 0
        self.total = 0
        self.left_out: defaultdict[str, list[str]] = defaultdict(list)
        self.resized: list[str] = []

    def of(self, frame: Frame) -> np.ndarray:
        """Boxes (N, 5) of an image, float32."""
        boxes = self.boxes_of(frame)
        height, width = frame.image.shape[:2]
        self.seen = max(self.seen, frame.index + 1)
        self.total += len(boxes)
        name = frame.name if self.frames is None else f'frame {frame.index}'
        index = frame.index if self.frames is None else 0
        expected = self.sizes[index] if index < len(self.sizes) else None
        if expected not in (None, (width, height)):
            self.resized.append(f'{name}: {(width, height)}, not {expected}')
        xywh = np.column_stack([boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]])
        sizes = np.full((len(boxes), 2), (width, height), np.float64)
        outside = outside_image(xywh, sizes)
        tiny = ~outside & smaller_than_pixel(xywh, sizes)
        for reason, mask in ((OUTSIDE, outside), (TINY, tiny)):
            self.left_out[reason] += [f'{name}: {np.round(b, 3).tolist()}' for b in xywh[mask]]
        return boxes[~(outside | tiny)].astype(np.float32)

    def notes(self) -> list[str]:
        """What was left out so far, and what is unusual, for the user to read."""
        notes = [
            f'{len(names)} of {self.total} boxes left out, as {reason} ({_some(names)})'
            for reason, names in self.left_out.items()
            if names
        ]
        if self.resized:
            notes.append(
                f'{len(self.resized)} images have another size (w, h) than it says, so that boxes '
                f'may be elsewhere ({_some(self.resized)})'
            )
        late = [frame for frame in self.frames or () if frame >= self.seen]
        if late:
            notes.append(
                f'boxes of {len(late)} frames are not used, the first in frame {min(late)}: '
                f'{self.seen} frames were read, counted from 0'
            )
        return [f'{self.where}: {note}' for note in notes]


def given_boxes(bboxes: Iterable[Any], source: Source) -> GivenBoxes:
    """Boxes of each image of the source.

    Args:
        bboxes: for each image (N, 4) or (N, 5), x1, y1, x2, y2 and a score; for a single one
            also without a list around them. For videos, an iterable that ends not before them.
        source: images or a video.

    Raises:
        ValueError: there are not as many as images, or one is no box. Of what is no sequence,
            when its turn comes.
    """
    if isinstance(source, Images) and isinstance(bboxes, Sequence | np.ndarray):
        if len(source) == 1 and len(bboxes) and np.ndim(bboxes[0]) == 1 and len(bboxes[0]):
            bboxes = [bboxes]
        if len(bboxes) != len(source):
            raise ValueError(
                f'bboxes are for {len(bboxes)} pictures, but there are {len(source)}; give one '
                'list for each, empty where there is nobody'
            )
    if isinstance(bboxes, Sequence | np.ndarray):
        bboxes = [as_boxes(b, f'picture {i}') for i, b in enumerate(bboxes)]
    return GivenBoxes(_InOrder(bboxes), 'bboxes')


class _InOrder:
    """Boxes of images that come in their order; of those left out, boxes are left out, too."""

    def __init__(self, bboxes: Iterable[Any]) -> None:
        self.boxes = iter(bboxes)
        self.index = -1
        self.current: Any = None

    def __call__(self, frame: Frame) -> np.ndarray:
        while self.index < frame.index:
            try:
                self.current = next(self.boxes)
            except StopIteration:
                raise ValueError(
                    f'bboxes end after {self.index + 1} pictures, but there are more'
                ) from None
            self.index += 1
        return as_boxes(self.current, f'picture {self.index}')


def as_boxes(boxes: Any, where: str) -> np.ndarray:
    """Boxes (N, 4), or (N, 5) with scores, as float32 (N, 5); a missing score is 1.

    Raises:
        ValueError: another shape, or a box without an area.
    """
    array = np.asarray(boxes, np.float32)
    if array.size == 0:
        return np.zeros((0, 5), np.float32)
    if array.ndim != 2 or array.shape[1] not in (4, 5):
        raise ValueError(
            f'boxes of {where} have shape {array.shape}; expected (people, 4) or (people, 5): '
            'x1, y1, x2, y2 and a score'
        )
    bad = ~(np.isfinite(array).all(axis=1) & (array[:, 2:4] > array[:, :2]).all(axis=1))
    if bad.any():
        raise ValueError(
            f'box {array[bad][0].tolist()} of {where} has no area; expected x1 < x2 and y1 < y2, '
            'in pixels'
        )
    if array.shape[1] == 4:
        array = np.column_stack([array, np.ones(len(array), np.float32)])
    return array


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:SHOWN]) + (', …' if len(names) > SHOWN else '')
