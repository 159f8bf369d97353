"""Boxes of people in a file of COCO's format."""

import math
from collections import defaultdict
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import numpy as np

from ...utils.json_files import read_json
from .boxes import as_boxes
from .inputs import Images, Source


class BoxFile:
    """A list of results, or annotations with their pictures.

    An entry has a ``bbox`` (x, y, w, h), perhaps a ``score``, and names its picture by
    ``file_name`` or by ``image_id``, which is that of a picture in the file or the number that the
    picture is called by. In a video it names its frame, from 0, by ``frame``.

    Args:
        path: JSON file.
        threshold: boxes with a score of at most this are left out.

    Raises:
        OSError: it cannot be read.
        ValueError: it has another format.
    """

    def __init__(self, path: str, threshold: float) -> None:
        self.path = path
        self.boxes: defaultdict[tuple[str, int], list[list[float]]] = defaultdict(list)
        try:
            content = read_json(path)
            names = {}
            if isinstance(content, dict):
                names = {image['id']: image['file_name'] for image in content['images']}
                content = content['annotations']
            for entry in content:
                name = entry.get('file_name') or names.get(entry.get('image_id'))
                x, y, w, h, score = map(float, [*entry['bbox'], entry.get('score', 1.0)])
                if not all(map(math.isfinite, (x, y, w, h, score))):
                    raise ValueError(f'a bbox or score is not finite: {entry["bbox"]}')
                if score > threshold and not entry.get('iscrowd'):
                    place = name_of(name or entry['image_id']), entry.get('frame', 0)
                    self.boxes[place].append([x, y, x + w, y + h, score])
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError(
                f'{path} is no file of boxes ({type(error).__name__}: {error}); expected a JSON '
                'list of dicts with bbox (x, y, w, h) and file_name or image_id, or COCO '
                'annotations'
            ) from error

    def of(self, source: Source) -> Iterable[np.ndarray]:
        """Boxes of each picture of a source, as the inferencer takes them.

        Raises:
            ValueError: there are none at all.
        """
        names = [name_of(name) for name in source.names]
        known = {name for name, _ in self.boxes}
        if known.isdisjoint(names):
            others = ', '.join(sorted(known)[:3]) or 'nothing'
            raise ValueError(
                f'{self.path} has no boxes for {source.names[0]} or any other input; it has some '
                f'for {others}'
            )
        if isinstance(source, Images):
            return [self._get(name, 0) for name in names]
        return (self._get(names[0], frame) for frame in count())

    def _get(self, name: str, frame: int) -> np.ndarray:
        return as_boxes(self.boxes.get((name, frame), []), f'{name} in {self.path}')


def name_of(picture: object) -> str:
    """A picture's name or number without folders, ending and leading zeros."""
    return Path(str(picture)).stem.lstrip('0') or '0'
