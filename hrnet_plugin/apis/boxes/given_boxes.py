"""Boxes that a caller gives for each image, instead of a detector."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...functional.coco.units import OUTSIDE, TINY, outside_image, smaller_than_pixel
from ..inputs.images import Frame, Images
from ..inputs.sources import Source

MAX_EXAMPLES = 3


class GivenBoxes:
    """Boxes for each image of a source, without those outside of it or smaller than a pixel.

    Args:
        boxes_of: Function that returns the boxes (N, 5) of an image: x1, y1, x2, y2 and a score.
        origin: Name of the file or option that the boxes are from, for notes.
        sizes: (w, h) of each image in pixels, as the file states it; None where it does not.
        frames: Indices of the frames of a video that have boxes; None for images.
    """

    def __init__(
        self,
        boxes_of: Callable[[Frame], np.ndarray],
        origin: str,
        sizes: Sequence[tuple[float, float] | None] = (),
        frames: Sequence[int] | None = None,
    ) -> None:
        self.boxes_of = boxes_of
        self.origin = origin
        self.sizes = sizes
        self.frames = frames
        self.num_frames = 0
        self.num_boxes = 0
        self.skipped: defaultdict[str, list[str]] = defaultdict(list)
        self.resized: list[str] = []

    def of(self, frame: Frame) -> np.ndarray:
        """Return the boxes (N, 5) of an image, float32: x1, y1, x2, y2 in pixels and a score."""
        boxes = self.boxes_of(frame)
        height, width = frame.image.shape[:2]
        self.num_frames = max(self.num_frames, frame.index + 1)
        self.num_boxes += len(boxes)
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
            self.skipped[reason] += [f'{name}: {np.round(b, 3).tolist()}' for b in xywh[mask]]
        return boxes[~(outside | tiny)].astype(np.float32)

    def notes(self) -> list[str]:
        """Return what users need to know of the boxes used so far: skipped ones, odd sizes."""
        notes = [
            f'{len(boxes)} of {self.num_boxes} boxes skipped: {reason} ({_examples(boxes)})'
            for reason, boxes in self.skipped.items()
            if boxes
        ]
        if self.resized:
            notes.append(
                f'{len(self.resized)} images differ in size (w, h) from what it states, so that '
                f'boxes may be misplaced ({_examples(self.resized)})'
            )
        unused = [frame for frame in self.frames or () if frame >= self.num_frames]
        if unused:
            notes.append(
                f'boxes of {len(unused)} frames are not used, the first in frame {min(unused)}: '
                f'{self.num_frames} frames were read, counted from 0'
            )
        return [f'{self.origin}: {note}' for note in notes]


def given_boxes(bboxes: Iterable[Any], source: Source) -> GivenBoxes:
    """Check the boxes that a caller gives for each image of a source.

    Args:
        bboxes: For each image boxes (N, 4) or (N, 5): x1, y1, x2, y2 in pixels and a score; for a
            single image also without a list around them. For a video, an iterable that does not
            end before it.
        source: Images or a video.

    Returns:
        The boxes of each image.

    Raises:
        ValueError: The number of images differs, or a box has another shape or no area. Of an
            iterable that is not a sequence, this is raised when its boxes are used.
    """
    if isinstance(source, Images) and isinstance(bboxes, Sequence | np.ndarray):
        if len(source) == 1 and len(bboxes) and np.ndim(bboxes[0]) == 1 and len(bboxes[0]):
            bboxes = [bboxes]
        if len(bboxes) != len(source):
            raise ValueError(
                f'bboxes are for {len(bboxes)} images, but there are {len(source)}: give one list '
                'for each image, an empty one for no boxes'
            )
    if isinstance(bboxes, Sequence | np.ndarray):
        bboxes = [as_boxes(b, f'image {i}') for i, b in enumerate(bboxes)]
    return GivenBoxes(_OrderedBoxes(bboxes), 'bboxes')


class _OrderedBoxes:
    """Boxes of successive images; those of skipped images are skipped."""

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
                    f'bboxes end after {self.index + 1} images, but there are more'
                ) from None
            self.index += 1
        return as_boxes(self.current, f'image {self.index}')


def as_boxes(boxes: Any, where: str) -> np.ndarray:
    """Convert boxes to an array with scores.

    Args:
        boxes: (N, 4) or (N, 5): x1, y1, x2, y2 in pixels and a score, which is 1 if missing.
        where: The image that they are of, for errors.

    Returns:
        (N, 5), float32.

    Raises:
        ValueError: The shape differs, or a box has no area.
    """
    array = np.asarray(boxes, np.float32)
    if array.size == 0:
        return np.zeros((0, 5), np.float32)
    if array.ndim != 2 or array.shape[1] not in (4, 5):
        raise ValueError(
            f'boxes of {where} have shape {array.shape}; expected (N, 4) or (N, 5): x1, y1, x2, '
            'y2 and a score'
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


def _examples(texts: Sequence[str]) -> str:
    return ', '.join(texts[:MAX_EXAMPLES]) + (', …' if len(texts) > MAX_EXAMPLES else '')
