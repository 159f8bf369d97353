"""Boxes of people in a file of COCO's format."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np

from ...functional.coco.ids import as_id
from ...functional.coco.units import box_problems
from ...utils.json_files import read_json
from ..inputs.image_sizes import image_size
from ..inputs.sources import Frame, Images, Source
from .categories import Categories, select_categories
from .given_boxes import GivenBoxes
from .image_names import match_ids, match_paths, split_path

SAMPLED = 100  # images whose size is looked up, to see whether boxes are in pixels
SHOWN = 3

# ('image', id) of those that the file lists; else ('path', parts) or ('id', image_id)
Key = tuple[str, Any]


@dataclass
class _Image:
    """What the file says of an image or a video.

    Attributes:
        name: its file's, or its id as a text if it goes by that.
        size: (w, h) in pixels, where the file tells it.
        frames: boxes (x1, y1, x2, y2, score) by frame; None is the key of those without a frame.
    """

    name: str
    size: tuple[float, float] | None = None
    frames: dict[int | None, list[list[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Entry:
    """One box: x, y, w, h."""

    image: Key
    frame: int | None
    box: list[float] | None
    score: float | None
    category_id: Any
    category_name: str | None
    is_crowd: bool


class BoxFile:
    """A list of results, or annotations with their images.

    An entry has a ``bbox`` (x, y, w, h), perhaps a ``score`` and a ``category_id``, and names its
    image by ``file_name`` or by ``image_id``, which is that of an image in the file or the number
    that the image is called by. In a video it names its frame, from 0, by ``frame``.

    Args:
        path: JSON file.
        threshold: boxes with a score of at most this are left out; a box whose score is missing
            or null has 1.
        categories: names or ids of those to use; see :func:`select_categories` for the default.

    Attributes:
        images: what the file says of each of its images.
        notes: what is left out or unusual, for the user to read.

    Raises:
        OSError: it cannot be read.
        ValueError: it has another format, or no box that is to be used.
    """

    def __init__(self, path: str, threshold: float, categories: Categories = None) -> None:
        self.path = path
        self.images: dict[Key, _Image] = {}
        self.notes: list[str] = []
        content = read_json(path)
        try:
            entries, names = self._read(content)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            why = f'no {error}' if isinstance(error, KeyError) else error
            raise ValueError(
                f'{path} is no file of boxes ({why}); expected a JSON list of dicts with bbox '
                '(x, y, w, h) and file_name or image_id, or COCO annotations'
            ) from error
        try:
            used, notes = select_categories([e.category_id for e in entries], names, categories)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        for note in notes:
            self._note(note)
        self._add([e for e in entries if e.category_id in used], threshold)

    def of(self, sources: Sequence[Source]) -> list[GivenBoxes]:
        """Boxes of each image of each source, as the inferencer takes them.

        Args:
            sources: all of them at once, as a name in the file may fit several.

        Raises:
            ValueError: the file names none of them, or it is not clear which it means; a box in a
                video has no frame; or boxes are in 0..1.
        """
        names = list(dict.fromkeys(name for source in sources for name in source.names))
        try:
            keys = self._match(names)
        except ValueError as error:
            raise ValueError(f'{self.path}: {error}') from error
        if not keys:
            raise ValueError(
                f'{self.path} has no boxes for {names[0]} or any other input; it has some for '
                f'{_listed([image.name for image in self.images.values()])}; name images by '
                'file_name, or by image_id where they are called by number'
            )
        if unnamed := [name for name in names if name not in keys]:
            self._note(
                f'it does not name {len(unnamed)} of {len(names)} inputs, in which nobody is '
                f'looked for: {_listed(unnamed)}'
            )
        images = [
            [_merged([self.images[key] for key in keys.get(name, ())]) for name in source.names]
            for source in sources
        ]
        self._check_units(sources, images)
        return [self._given(source, found) for source, found in zip(sources, images)]

    def _note(self, note: str) -> None:
        self.notes.append(f'{self.path}: {note}')

    def _read(self, content: Any) -> tuple[list[_Entry], dict[Any, str]]:
        """All boxes, and the names of their categories as far as the file tells."""
        names: dict[Any, str] = {}
        has_images = isinstance(content, dict)
        if has_images:
            for image in content['images']:
                if not isinstance(image, Mapping):
                    raise ValueError(f"'images' lists a {type(image).__name__}")
                name = str(image['file_name'])
                self.images['image', as_id(image['id'])] = _Image(name, _size(image))
            for category in content.get('categories') or ():
                if isinstance(category, Mapping) and isinstance(category.get('name'), str):
                    names[as_id(category['id'])] = category['name']
            content = content['annotations']
        if not isinstance(content, list):
            raise ValueError(f'its boxes are a {type(content).__name__}')
        entries, strangers = [], 0
        for number, row in enumerate(content):
            entry = _parse(row, f'entry {number}', has_images)
            if entry.image[0] == 'image' and entry.image not in self.images:
                strangers += 1
                continue
            self.images.setdefault(
                entry.image, _Image(str(row.get('file_name') or entry.image[1]))
            )
            entries.append(entry)
        if strangers:
            self._note(
                f'{strangers} of {len(content)} boxes are left out: their image_id is not among '
                "its 'images'"
            )
        names |= {e.category_id: e.category_name for e in entries if e.category_name}
        return entries, names

    def _add(self, entries: Sequence[_Entry], threshold: float) -> None:
        """Keep those that can be used, and say how many cannot."""
        scoreless = sum(entry.score is None for entry in entries)
        if 0 < scoreless < len(entries):
            self._note(f'{scoreless} of {len(entries)} boxes have no score: it is taken as 1')
        left_out: defaultdict[str, int] = defaultdict(int)
        for entry in entries:
            score = 1.0 if entry.score is None else entry.score
            x, y, w, h = entry.box or (0, 0, 0, 0)
            if entry.is_crowd:
                left_out['it is a crowd'] += 1
            elif entry.box is None:
                left_out['it has no bbox'] += 1
            elif score <= threshold:
                left_out[f'its score is at most {threshold} (--bbox-thr, or bbox_thr=)'] += 1
            elif w <= 0 or h <= 0:
                left_out['it has no area'] += 1
            else:
                frames = self.images[entry.image].frames
                frames.setdefault(entry.frame, []).append([x, y, x + w, y + h, score])
        said = [f'{n} of {len(entries)} boxes left out: {why}' for why, n in left_out.items()]
        if sum(left_out.values()) == len(entries):
            raise ValueError(
                f'{self.path} has no boxes that can be used: {"; ".join(said) or "it lists none"}'
            )
        for reason in said:
            self._note(reason)

    def _match(self, names: Sequence[str]) -> dict[str, list[Key]]:
        """Keys of the images that each input is."""
        keys: defaultdict[str, list[Key]] = defaultdict(list)
        ids = {key[1]: key for key in self.images if key[0] == 'id'}
        for name, found in match_ids(names, ids).items():
            keys[name].append(ids[found])
        # A text in the place of an id may be a path as well.
        by_name = {
            key: image.name
            for key, image in self.images.items()
            if key[0] != 'id' or isinstance(key[1], str)
        }
        paths, astray = match_paths(names, by_name)
        for name, key in paths.items():
            keys[name].append(key)
        if astray:
            pairs = [f'{name} as {by_name[paths[name]]}' for name in astray]
            self._note(
                f'it names {len(astray)} inputs with other folders, which are not compared: '
                f'{_listed(pairs)}'
            )
        return keys

    def _check_units(self, sources: Sequence[Source], found: Sequence[Sequence[_Image]]) -> None:
        """Find out from all boxes together whether they are in pixels."""
        boxes: list[list[float]] = []
        images: list[tuple[Source, int, _Image, int]] = []
        for source, described in zip(sources, found):
            for index, image in enumerate(described):
                corners = [box for several in image.frames.values() for box in several]
                boxes += [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2, _ in corners]
                if corners:
                    images.append((source, index, image, len(corners)))
        looked_up = {*np.linspace(0, len(images) - 1, SAMPLED).round().astype(int).tolist()}
        unknown = (np.nan, np.nan)
        sizes = [
            [image.size or (image_size(source, index) if n in looked_up else None) or unknown] * k
            for n, (source, index, image, k) in enumerate(images)
        ]
        table = np.array([size for several in sizes for size in several], np.float64)
        for problem in box_problems(np.array(boxes), table):
            said = f'{problem.message}: {len(problem.rows)} of {len(boxes)} boxes'
            if problem.is_error:
                raise ValueError(f'{self.path}: {said}')
            if problem.is_format:
                self._note(said)

    def _given(self, source: Source, images: Sequence[_Image]) -> GivenBoxes:
        if not isinstance(source, Images):
            (image,) = images
            if None in image.frames:
                raise ValueError(
                    f'{self.path} has {len(image.frames[None])} boxes for the video {source.name} '
                    "that name no frame; expected 'frame', from 0, beside each bbox"
                )
        else:
            later = [frame for image in images for frame in image.frames if frame]
            if later:
                self._note(f'boxes of {len(later)} frames are left out: the input is an image')

        def boxes_of(frame: Frame) -> np.ndarray:
            if isinstance(source, Images):
                frames = images[frame.index].frames
                boxes = [*frames.get(None, []), *frames.get(0, [])]
            else:
                boxes = images[0].frames.get(frame.index, [])
            return np.array(boxes, np.float64).reshape(-1, 5)

        return GivenBoxes(
            boxes_of,
            self.path,
            sizes=[image.size for image in images],
            frames=None if isinstance(source, Images) else [f for f in images[0].frames if f],
        )


def _parse(row: Any, where: str, has_images: bool) -> _Entry:
    """A box of the file.

    Raises:
        ValueError: it is none; ``where`` it is, is named.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f'{where} is a {type(row).__name__}')
    box = row.get('bbox')
    if box not in (None, []) and not (
        isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
    ):
        raise ValueError(f'{where} has bbox={box!r}')
    score = row.get('score')
    if score is not None and not _is_number(score):
        raise ValueError(f'{where} has score={score!r}; expected a number, or none')
    frame = row.get('frame')
    if frame is not None and not (isinstance(frame, int) and frame >= 0):
        raise ValueError(f'{where} has frame={frame!r}; expected a number from 0')
    name, image_id, category = (row.get(k) for k in ('file_name', 'image_id', 'category_id'))
    for key, value in (('image_id', image_id), ('category_id', category)):
        if not isinstance(value, (str, int, float, type(None))):
            raise ValueError(f'{where} has {key}={value!r}; expected a number or a text')
    if name is None and image_id is None:
        raise ValueError(f'{where} has neither file_name nor image_id')
    if name is not None and (not isinstance(name, str) or not split_path(name)):
        raise ValueError(f'{where} has file_name={name!r}')
    image = ('image' if has_images else 'id', as_id(image_id))
    title = row.get('category_name')
    return _Entry(
        image=image if name is None else ('path', split_path(name)),
        frame=frame,
        box=box or None,
        score=score,
        category_id=as_id(category),
        category_name=title if isinstance(title, str) else None,
        is_crowd=bool(row.get('iscrowd')),
    )


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _size(image: Mapping[str, Any]) -> tuple[float, float] | None:
    width, height = image.get('width'), image.get('height')
    if _is_number(width) and _is_number(height) and min(width, height) > 0:
        return width, height
    return None


def _merged(images: Sequence[_Image]) -> _Image:
    """One image of which the file speaks by several names, or by none."""
    if len(images) == 1:
        return images[0]
    merged = _Image('', next((image.size for image in images if image.size), None))
    for image in images:
        for frame, boxes in image.frames.items():
            merged.frames.setdefault(frame, []).extend(boxes)
    return merged


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ', '.join(names[:SHOWN]) + (', …' if len(names) > SHOWN else '')
