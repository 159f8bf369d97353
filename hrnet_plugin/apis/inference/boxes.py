"""Boxes that the caller knows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .inputs import Images, Source


def given_boxes(bboxes: Iterable[Any], source: Source) -> Iterator[np.ndarray]:
    """Boxes (N, 5) of each picture of the source, in its order.

    Args:
        bboxes: for each picture (N, 4) or (N, 5), x1, y1, x2, y2 and a score; for a single one
            also without a list around them. For videos, an iterable that ends not before them.
        source: pictures or a video.

    Raises:
        ValueError: there are not as many as pictures, or one is no box. Of what is no sequence,
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
    return _checked(bboxes)


def _checked(bboxes: Iterable[Any]) -> Iterator[np.ndarray]:
    number = 0
    for boxes in bboxes:
        yield as_boxes(boxes, f'picture {number}')
        number += 1
    raise ValueError(f'bboxes end after {number} pictures, but there are more')


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
