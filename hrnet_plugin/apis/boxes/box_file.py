"""Boxes of instances in a file of COCO format."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np

from ...functional.coco.ids import as_id
from ...functional.coco.units import box_problems
from ...utils.json_files import read_json
from ..inputs.images import Frame, Images
from ..inputs.sources import Source
from .categories import Categories, select_categories
from .given_boxes import GivenBoxes
from .image_names import match_ids, match_paths, split_path

MAX_SIZES = 100  # images whose size is looked up, to tell whether boxes are in pixels
MAX_LISTED = 3

# ('image', id) if the file lists its images; else ('path', parts) or ('id', image_id)
Key = tuple[str, Any]


@dataclass
class _ListedImage:
    """An image or a video that the file has boxes for.

    Attributes:
        name: Name of its file, or its id as a string.
        size: (w, h) in pixels, if the file states it.
        frames: Boxes (x1, y1, x2, y2, score) by frame; the key of those without a frame is None.
    """

    name: str
    size: tuple[float, float] | None = None
    frames: dict[int | None, list[list[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Entry:
    """One box (x, y, w, h) in pixels, and what the file says of it."""

    image: Key
    frame: int | None
    box: list[float] | None
    score: float | None
    category_id: Any
    category_name: str | None
    is_crowd: bool


class BoxFile:
    """A file of COCO results, or of COCO annotations with their images.

    An entry has a ``bbox`` (x, y, w, h) in pixels and may have a ``score`` and a
    ``category_id``. It names its image by ``file_name`` or by ``image_id``, which is the id of an
    image in the file or the number that the image file is named by. For a video, ``frame`` is the
    index of its frame, from 0.

    Args:
        path: Path of the JSON file.
        threshold: Score up to which boxes are skipped; a missing score is 1.
        categories: Names or ids of categories; see :func:`select_categories` for the default.

    Attributes:
        images: The images that the file has boxes for.
        notes: What users need to know: skipped boxes and oddities.

    Raises:
        OSError: The file cannot be read.
        ValueError: It has another format, or no box is left.
    """

    def __init__(self, path: str, threshold: float, categories: Categories = None) -> None:
        self.path = path
        self.images: dict[Key, _ListedImage] = {}
        self.notes: list[str] = []
        content = read_json(path)
        try:
            entries, names = self._read(content)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f'no {error}' if isinstance(error, KeyError) else error
            raise ValueError(
                f'{path} is not a file of boxes ({reason}); expected a JSON list of dicts with '
                'bbox (x, y, w, h) and file_name or image_id, or COCO annotations'
            ) from error
        try:
            used, notes = select_categories([e.category_id for e in entries], names, categories)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        for note in notes:
            self._note(note)
        self._add([e for e in entries if e.category_id in used], threshold)

    def of(self, sources: Sequence[Source]) -> list[GivenBoxes]:
        """Return the boxes of each image of each source, as the inferencer takes them.

        Args:
            sources: All sources at once, as a name in the file may match several.

        Returns:
            The boxes of each source.

        Raises:
            ValueError: The file names no input, or a name is ambiguous; a box of a video has no
                frame; or boxes are in 0..1 instead of pixels.
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
                f'it does not name {len(unnamed)} of {len(names)} inputs, which get no instances: '
                f'{_listed(unnamed)}'
            )
        images = [
            [_merged([self.images[key] for key in keys.get(name, ())]) for name in source.names]
            for source in sources
        ]
        self._check_units(sources, images)
        return [self._given(source, listed) for source, listed in zip(sources, images)]

    def _note(self, note: str) -> None:
        self.notes.append(f'{self.path}: {note}')

    def _read(self, content: Any) -> tuple[list[_Entry], dict[Any, str]]:
        """Return all boxes, and the names of their categories as far as the file states them."""
        names: dict[Any, str] = {}
        has_images = isinstance(content, dict)
        if has_images:
            for image in content['images']:
                if not isinstance(image, Mapping):
                    raise ValueError(f"'images' lists a {type(image).__name__}")
                name = str(image['file_name'])
                self.images['image', as_id(image['id'])] = _ListedImage(name, _size(image))
            for category in content.get('categories') or ():
                if isinstance(category, Mapping) and isinstance(category.get('name'), str):
                    names[as_id(category['id'])] = category['name']
            content = content['annotations']
        if not isinstance(content, list):
            raise ValueError(f'its boxes are a {type(content).__name__}')
        entries, num_unknown = [], 0
        for number, row in enumerate(content):
            entry = _parse(row, f'entry {number}', has_images)
            if entry.image[0] == 'image' and entry.image not in self.images:
                num_unknown += 1
                continue
            self.images.setdefault(
                entry.image, _ListedImage(str(row.get('file_name') or entry.image[1]))
            )
            entries.append(entry)
        if num_unknown:
            self._note(
                f'{num_unknown} of {len(content)} boxes skipped: their image_id is not among its '
                "'images'"
            )
        names |= {e.category_id: e.category_name for e in entries if e.category_name}
        return entries, names

    def _add(self, entries: Sequence[_Entry], threshold: float) -> None:
        """Add boxes to their images, and note how many are skipped and why."""
        num_scoreless = sum(entry.score is None for entry in entries)
        if 0 < num_scoreless < len(entries):
            self._note(f'{num_scoreless} of {len(entries)} boxes have no score; 1 is used')
        skipped: defaultdict[str, int] = defaultdict(int)
        for entry in entries:
            score = 1.0 if entry.score is None else entry.score
            x, y, w, h = entry.box or (0, 0, 0, 0)
            if entry.is_crowd:
                skipped['it is a crowd'] += 1
            elif entry.box is None:
                skipped['it has no bbox'] += 1
            elif score <= threshold:
                skipped[f'its score is at most {threshold} (--bbox-thr, or bbox_thr=)'] += 1
            elif w <= 0 or h <= 0:
                skipped['it has no area'] += 1
            else:
                frames = self.images[entry.image].frames
                frames.setdefault(entry.frame, []).append([x, y, x + w, y + h, score])
        notes = [f'{n} of {len(entries)} boxes skipped: {reason}' for reason, n in skipped.items()]
        if sum(skipped.values()) == len(entries):
            raise ValueError(
                f'{self.path} has no usable boxes: {"; ".join(notes) or "it lists none"}'
            )
        for note in notes:
            self._note(note)

    def _match(self, names: Sequence[str]) -> dict[str, list[Key]]:
        """Return the keys of the listed images that match each input."""
        keys: defaultdict[str, list[Key]] = defaultdict(list)
        ids = {key[1]: key for key in self.images if key[0] == 'id'}
        for name, image_id in match_ids(names, ids).items():
            keys[name].append(ids[image_id])
        # A string in the place of an id may be a path.
        by_name = {
            key: image.name
            for key, image in self.images.items()
            if key[0] != 'id' or isinstance(key[1], str)
        }
        paths, mismatched = match_paths(names, by_name)
        for name, key in paths.items():
            keys[name].append(key)
        if mismatched:
            pairs = [f'{name} as {by_name[paths[name]]}' for name in mismatched]
            self._note(
                f'it names {len(mismatched)} inputs with other folders, which are ignored: '
                f'{_listed(pairs)}'
            )
        return keys

    def _check_units(
        self, sources: Sequence[Source], listed: Sequence[Sequence[_ListedImage]]
    ) -> None:
        """Check by all boxes together that they are in pixels.

        Raises:
            ValueError: They are in 0..1.
        """
        boxes: list[list[float]] = []
        images: list[tuple[Source, int, _ListedImage, int]] = []
        for source, source_images in zip(sources, listed):
            for index, image in enumerate(source_images):
                corners = [box for several in image.frames.values() for box in several]
                boxes += [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2, _ in corners]
                if corners:
                    images.append((source, index, image, len(corners)))
        looked_up = {*np.linspace(0, len(images) - 1, MAX_SIZES).round().astype(int).tolist()}
        unknown = (np.nan, np.nan)
        sizes = [
            [image.size or (source.image_size(index) if n in looked_up else None) or unknown] * k
            for n, (source, index, image, k) in enumerate(images)
        ]
        table = np.array([size for several in sizes for size in several], np.float64)
        for problem in box_problems(np.array(boxes), table):
            message = f'{problem.message}: {len(problem.rows)} of {len(boxes)} boxes'
            if problem.is_error:
                raise ValueError(f'{self.path}: {message}')
            if problem.is_format:
                self._note(message)

    def _given(self, source: Source, images: Sequence[_ListedImage]) -> GivenBoxes:
        if not isinstance(source, Images):
            (image,) = images
            if None in image.frames:
                raise ValueError(
                    f'{self.path} has {len(image.frames[None])} boxes without a frame for the '
                    f"video {source.name}; expected 'frame', from 0, beside each bbox"
                )
        else:
            later = [frame for image in images for frame in image.frames if frame]
            if later:
                self._note(f'boxes of {len(later)} frames skipped: the input is an image')

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
    """Read one entry of the file.

    Args:
        row: The entry.
        where: Name of the entry, for errors.
        has_images: Whether the file lists its images, so that ids are theirs.

    Returns:
        The box.

    Raises:
        ValueError: A value has another type or range.
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
        raise ValueError(f'{where} has score={score!r}; expected a number or null')
    frame = row.get('frame')
    if frame is not None and not (isinstance(frame, int) and frame >= 0):
        raise ValueError(f'{where} has frame={frame!r}; expected a number from 0')
    name, image_id, category = (row.get(k) for k in ('file_name', 'image_id', 'category_id'))
    for key, value in (('image_id', image_id), ('category_id', category)):
        if not isinstance(value, (str, int, float, type(None))):
            raise ValueError(f'{where} has {key}={value!r}; expected a number or a string')
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


def _merged(images: Sequence[_ListedImage]) -> _ListedImage:
    """Merge what the file says of one input by several names, or by none."""
    if len(images) == 1:
        return images[0]
    merged = _ListedImage('', next((image.size for image in images if image.size), None))
    for image in images:
        for frame, boxes in image.frames.items():
            merged.frames.setdefault(frame, []).extend(boxes)
    return merged


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ', '.join(names[:MAX_LISTED]) + (', …' if len(names) > MAX_LISTED else '')
