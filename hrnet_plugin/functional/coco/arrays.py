"""Read annotations and predictions in COCO format, and check them, as arrays.

Letters for axes: N predictions, G annotated instances, K keypoints.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from ...utils.json_files import read_json
from .ids import as_id, plain_ids
from .schema import (
    check_coco_dict,
    coco_entries,
    errors_name,
    keypoints_problem,
    kind,
    quote,
)


@dataclass(frozen=True)
class Annotations:
    """Annotations in COCO format as arrays, checked once.

    Attributes:
        images: Ids (I,) of the images.
        categories: Ids (C,) of the categories.
        rows: Indices (G,) of these annotations among those that were given; annotations of
            categories that are not listed are left out.
        id: Ids (G,) of the annotations.
        image_id: Ids (G,) of their images.
        category_id: Ids (G,) of their categories.
        keypoints: (G, K, 3), x and y in pixels, and a visibility above 0 where labelled; K is 0
            where no annotation has keypoints.
        bbox: (G, 4), x, y, width and height in pixels.
        area: (G,), in square pixels; NaN where there is none.
        iscrowd: (G,), boolean.
        num_keypoints: (G,), labelled keypoints; below 0 where they have to be counted.
        num_given: Number of annotations that were given, if not all of them are here.
    """

    images: np.ndarray
    categories: np.ndarray
    rows: np.ndarray
    id: np.ndarray
    image_id: np.ndarray
    category_id: np.ndarray
    keypoints: np.ndarray
    bbox: np.ndarray
    area: np.ndarray
    iscrowd: np.ndarray
    num_keypoints: np.ndarray
    num_given: int | None = None

    def take(self, indices: np.ndarray) -> 'Annotations':
        """Return the annotations at these indices, or where a mask (G,) is true."""
        names = ('rows', *ANNOTATION_FIELDS)
        return replace(self, **{name: getattr(self, name)[indices] for name in names})


ANNOTATION_FIELDS = (
    'id',
    'image_id',
    'category_id',
    'keypoints',
    'bbox',
    'area',
    'iscrowd',
    'num_keypoints',
)


@dataclass(frozen=True)
class Predictions:
    """Predictions in COCO's result format as arrays.

    Attributes:
        image_id: Ids (N,) of their images.
        category_id: Ids (N,) of their categories.
        keypoints: (N, K, 3), x and y in pixels, and a score that is not read.
        score: (N,).
        bbox: (N, 4), x, y, width and height in pixels; None where there are no boxes.
    """

    image_id: np.ndarray
    category_id: np.ndarray
    keypoints: np.ndarray
    score: np.ndarray
    bbox: np.ndarray | None


def coco_to_arrays(gt: Any) -> dict[str, Any]:
    """Convert annotations to arrays, the form that ``evaluate_coco_keypoints`` reads fastest.

    Args:
        gt: Annotations in COCO format (https://cocodataset.org/#format-data): a dict, the path of
            a JSON file, or a ``COCO`` of pycocotools.

    Returns:
        A dict of ``images`` (I,) and ``categories`` (C,), their ids, and ``annotations``: a dict
        of ``id``, ``image_id``, ``category_id``, ``iscrowd`` and ``num_keypoints``, each (G,),
        ``keypoints`` (G, K, 3), ``bbox`` (G, 4) and ``area`` (G,), NaN where there is none.
        Annotations of categories that are not listed are left out. An annotation without
        keypoints (missing, null or an empty list) has K unlabelled ones: it is ignored, and so
        are detections matched to it. K is 0 where no annotation has keypoints.

    Raises:
        OSError: The file cannot be read.
        ValueError: A value is missing or of another type than in COCO format, or annotations have
            different numbers of keypoints.

    Example:
        >>> annotation = dict(
        ...     id=1, image_id=7, category_id=1, keypoints=[9, 5, 2, 0, 0, 0], bbox=[5, 5, 8, 8]
        ... )
        >>> gt = dict(images=[dict(id=7)], categories=[dict(id=1)], annotations=[annotation])
        >>> arrays = coco_to_arrays(gt)
        >>> arrays['images'], arrays['annotations']['keypoints'].shape
        (array([7]), (1, 2, 3))
    """
    annotations = read_annotations(gt)
    return dict(
        images=annotations.images,
        categories=annotations.categories,
        annotations={name: getattr(annotations, name) for name in ANNOTATION_FIELDS},
    )


def read_annotations(gt: Any) -> Annotations:
    """Read annotations in any form that :func:`evaluate_coco_keypoints` takes.

    Raises:
        ValueError: See :func:`coco_to_arrays`.
    """
    if isinstance(gt, Annotations):
        return gt
    content = load(gt)
    with errors_name(gt):
        check_coco_dict(content)
        images = _listed_ids(content, 'images')
        categories = _listed_ids(
            dict(content, categories=_or(content.get('categories'), ())), 'categories'
        )
        given = content.get('annotations')
        if isinstance(given, Mapping):
            table = _checked_table(given)
            rows = np.arange(len(table['image_id']))
            num_given = len(rows)
        else:
            entries = coco_entries(content, 'annotations')
            num_given = len(entries)
            rows = _of_categories(categories, entries)
            table = annotation_table([entries[row] for row in rows])
    if not len(categories):
        categories = table['category_id']
    return Annotations(images, categories, rows, **table, num_given=num_given)


def read_predictions(dt: Any, num_keypoints: int) -> Predictions:
    """Read predictions in any form that :func:`evaluate_coco_keypoints` takes.

    Args:
        dt: Predictions.
        num_keypoints: Expected number of keypoints.

    Raises:
        ValueError: A value is missing, of another type, or not finite.
    """
    with errors_name(dt):
        columns = _prediction_columns(load(dt), num_keypoints)
    keypoints = _as_floating(columns['keypoints'])
    count = len(keypoints)
    if count:
        check_number('predictions', keypoints[0].size, num_keypoints)
    keypoints = np.ascontiguousarray(keypoints).reshape(count, num_keypoints, 3)
    score = _column('score', columns['score'], count, np.float64)
    images = _ids_column('image_id', columns['image_id'], count)
    categories = _ids_column('category_id', columns['category_id'], count)
    bbox = columns.get('bbox')
    if bbox is not None:
        bbox = _boxes(bbox, count)
    check_finite(images, keypoints, score, *(() if bbox is None else (bbox,)))
    return Predictions(images, categories, keypoints, score, bbox)


def load(source: Any) -> Any:
    """Return the content of a JSON file or a ``COCO`` of pycocotools, or the source itself."""
    if isinstance(source, (str, os.PathLike)):
        return read_json(os.fspath(source))
    return getattr(source, 'dataset', source)


def check_finite(images: Sequence[Any] | np.ndarray, *arrays: np.ndarray) -> None:
    """Raise a ValueError that names the first image with a NaN or an infinity in any array.

    Args:
        images: Ids (N,) of the images of the rows.
        arrays: Arrays (N, …) of predictions.
    """
    for array in arrays:
        with np.errstate(over='ignore', invalid='ignore'):
            if np.isfinite(array.sum()):  # then so are all terms
                continue
        bad = ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
        if bad.any():
            raise ValueError(
                f'{bad.sum()} predictions are NaN or infinite, the first in image '
                f'{as_id(images[int(np.argmax(bad))])!r}; look for a diverged training or an '
                'overflow in half precision'
            )


def check_number(name: str, length: int, num_keypoints: int) -> None:
    """Raise a ValueError unless ``length`` numbers are three for each keypoint."""
    if length != 3 * num_keypoints:
        raise ValueError(
            f'{name}: {_keypoints(length)}, but there are {num_keypoints} sigmas; expected 3 '
            'numbers for each sigma, and the sigmas of the same skeleton'
        )


def annotation_table(annotations: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Convert a list of annotations to the columns of :class:`Annotations`.

    Raises:
        ValueError: See :func:`coco_to_arrays`.
    """

    def describe(number: int) -> str:
        return f'annotation {quote(annotations[number].get("id", number))}'

    def column(name: str) -> list[Any]:
        for number, ann in enumerate(annotations):
            if ann.get(name) is None:
                raise ValueError(f'{describe(number)} has no {name!r}')
        return [ann[name] for ann in annotations]

    def ids(name: str, values: list[Any]) -> np.ndarray:
        for number, value in enumerate(values):
            if not isinstance(value, (int, float, str, np.generic)):
                raise ValueError(
                    f'{describe(number)}: {name!r} is {kind(value)}; expected a number or text'
                )
        return plain_ids(values)

    def numbers(name: str, default: float, whole: bool) -> np.ndarray:
        values = [_or(ann.get(name), default) for ann in annotations]
        expected = f'a {"whole " if whole else ""}number'
        return _as_numbers(values, (), name, expected, describe, np.int64 if whole else np.float64)

    keypoints, has_keypoints = _keypoint_rows(annotations, describe)
    num_keypoints = np.where(has_keypoints, numbers('num_keypoints', -1, whole=True), 0)
    labelled: np.ndarray = np.any(keypoints[..., 2] > 0, axis=1)
    boxes = [ann.get('bbox') for ann in annotations]
    for number, box in enumerate(boxes):
        if box is None:
            if labelled[number]:
                raise ValueError(f"{describe(number)} has no 'bbox'")
            boxes[number] = (0, 0, 0, 0)  # of an ignored instance: contains no detection
    four = '4 numbers, x, y, width and height'
    return dict(
        id=ids('id', [ann.get('id', number) for number, ann in enumerate(annotations)]),
        image_id=ids('image_id', column('image_id')),
        category_id=ids('category_id', column('category_id')),
        keypoints=keypoints,
        bbox=_as_numbers(boxes, (4,), 'bbox', four, describe),
        area=numbers('area', np.nan, whole=False),
        iscrowd=np.array([bool(ann.get('iscrowd')) for ann in annotations], bool),
        num_keypoints=num_keypoints,
    )


def _keypoint_rows(
    annotations: Sequence[Mapping[str, Any]], describe: Callable[[int], str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return keypoints (G, K, 3), zeros for annotations without, and which have any (G,)."""
    rows = [ann.get('keypoints') for ann in annotations]
    lengths = [-1 if row is None else len(row) if hasattr(row, '__len__') else 1 for row in rows]
    has_keypoints = np.array(lengths, int) > 0
    with_some = np.flatnonzero(has_keypoints).tolist()
    # Take the most common length for the right one.
    length = Counter(lengths[n] for n in with_some).most_common(1)[0][0] if with_some else 0
    try:
        keypoints = _floats([rows[n] for n in with_some], length)
        sound = length % 3 == 0 and all(lengths[n] == length for n in with_some)
    except (TypeError, ValueError, OverflowError):
        sound = False
    if not sound:
        for number in with_some:
            if problem := keypoints_problem(rows[number]):
                raise ValueError(f'{describe(number)}: {problem}')
        for number in with_some:
            if lengths[number] != length:
                usual = next(n for n in with_some if lengths[n] == length)
                raise ValueError(
                    f'{describe(number)} has {_keypoints(lengths[number])}, and {describe(usual)} '
                    f'has {_keypoints(length)}{_of_category(annotations, number, usual)}; all '
                    'annotations must have as many, of 3 numbers each'
                )
        flat = [rows[number] for number in with_some]
        keypoints = _as_numbers(
            flat, (length,), 'keypoints', 'numbers', lambda n: describe(with_some[n])
        )
    table = np.zeros((len(rows), length // 3, 3))
    table[has_keypoints] = keypoints.reshape(len(with_some), length // 3, 3)
    return table, has_keypoints


def _of_category(annotations: Sequence[Mapping[str, Any]], one: int, other: int) -> str:
    """Return a hint where two annotations are of different categories."""
    a, b = (annotations[number].get('category_id') for number in (one, other))
    return '' if a == b else f' (they are of categories {quote(a)} and {quote(b)})'


def _as_numbers(
    values: Sequence[Any],
    shape: tuple[int, ...],
    name: str,
    expected: str,
    describe: Callable[[int], str],
    dtype: Any = np.float64,
) -> np.ndarray:
    """Convert the values of one field to an array (N, *shape); null, in a list, becomes NaN.

    Raises:
        ValueError: A value is something else; the error names it.
    """
    try:
        table = np.array(values)
        if table.dtype.kind in 'biuf' and table.shape == (len(values), *shape):
            if dtype is np.float64:
                return table.astype(np.float64)
            if table.dtype.kind in 'bi':
                return table.astype(np.int64)
    except (TypeError, ValueError, OverflowError):
        pass  # search for the wrong one
    table = np.empty((len(values), *shape), dtype)
    for number, value in enumerate(values):
        try:
            flat = [value] if not shape else list(value)
            good = len(flat) == np.prod(shape, dtype=int) and all(
                isinstance(v, (int, float, np.number)) or (shape and v is None) for v in flat
            )
            row = np.array([np.nan if v is None else v for v in flat], np.float64)
            if dtype is not np.float64:
                good &= bool(np.isfinite(row).all() and (np.abs(row) < 2**53).all())
            if good:
                table[number] = row.reshape(shape).astype(dtype)
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            raise ValueError(
                f'{describe(number)}: {name!r} is {quote(value)}; expected {expected}'
            )
    return table


def _of_categories(categories: np.ndarray, annotations: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return indices of the annotations of listed categories; of all if none is listed."""
    known = {*categories.tolist(), None}
    ids = [as_id(ann.get('category_id')) for ann in annotations]
    for ann, category in zip(annotations, ids):
        if not isinstance(category, (int, float, str, type(None))):
            raise ValueError(
                f"annotation {quote(ann.get('id'))}: 'category_id' is {kind(category)}; expected "
                'a number or text'
            )
    return np.array([n for n, c in enumerate(ids) if c in known or not len(categories)], np.intp)


def _listed_ids(content: Mapping[str, Any], part: str) -> np.ndarray:
    """Return the ids of images or categories, which are dicts or the ids themselves."""
    entries = content.get(part)
    if isinstance(entries, np.ndarray):
        return plain_ids(entries)
    if not isinstance(entries, (list, tuple)) or any(isinstance(e, Mapping) for e in entries):
        entries = coco_entries(content, part)
    values = [entry.get('id') if isinstance(entry, Mapping) else entry for entry in entries]
    for number, value in enumerate(values):
        if not isinstance(value, (int, float, str, np.generic)):
            raise ValueError(
                f'{part!r}, entry {number}: its id is {kind(value)}; expected a number or text'
            )
    return plain_ids(values)


def _checked_table(columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Check given columns of annotations, and add those that may be missing."""
    needed = ('image_id', 'category_id', 'keypoints', 'bbox')
    if columns and not any(name in columns for name in needed):
        raise ValueError(
            f"'annotations' is a dict of {quote(list(columns)[:3])}; expected a list of "
            'annotations, or a dict of columns, image_id, category_id, keypoints and bbox'
        )
    for name in needed:
        if name not in columns:
            raise ValueError(f'the annotations have no {name!r}')
    keypoints = _as_array('keypoints', columns['keypoints'])
    if keypoints.ndim < 2 and keypoints.size:
        raise ValueError(f'keypoints have shape {keypoints.shape}; expected (G, K, 3)')
    count = len(keypoints)

    def column(name: str, default: Any, dtype: type) -> np.ndarray:
        return _column(name, columns.get(name, default), count, dtype)

    return dict(
        id=_ids_column('id', columns.get('id', np.arange(count)), count),
        image_id=_ids_column('image_id', columns['image_id'], count),
        category_id=_ids_column('category_id', columns['category_id'], count),
        keypoints=keypoints,
        bbox=_boxes(columns['bbox'], count),
        area=column('area', np.nan, float),
        iscrowd=column('iscrowd', False, bool),
        num_keypoints=column('num_keypoints', -1, int),
    )


def _boxes(values: Any, count: int) -> np.ndarray:
    """Convert boxes to (count, 4)."""
    bbox = _as_array('bbox', values)
    if bbox.size != 4 * count:
        raise ValueError(f'bbox has shape {bbox.shape}; expected ({count}, 4)')
    return bbox.reshape(count, 4)


def _column(name: str, values: Any, count: int, dtype: type) -> np.ndarray:
    """Convert values to (count,); a single one stands for all."""
    values = _as_array(name, values, dtype)
    if values.ndim and values.size != count:
        raise ValueError(f'there are {values.size} values of {name!r} for {count} instances')
    return np.broadcast_to(values.reshape(values.size if values.ndim else ()), (count,))


def _as_array(name: str, values: Any, dtype: type = float) -> np.ndarray:
    try:
        return np.asarray(values, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f'{name!r} is no array of numbers: {error}') from error


def _ids_column(name: str, values: Any, count: int) -> np.ndarray:
    values = [values] * count if np.ndim(values) == 0 else values
    if len(values) != count:
        raise ValueError(f'there are {len(values)} values of {name!r} for {count} instances')
    return plain_ids(values)


def _prediction_columns(dt: Any, num_keypoints: int) -> Mapping[str, Any]:
    """Return predictions as columns, from a list of results, or from a COCO dict or columns."""
    dt = dt['annotations'] if isinstance(dt, Mapping) and 'annotations' in dt else dt
    if not isinstance(dt, (Mapping, Sequence)) or isinstance(dt, str):
        raise ValueError(f'the predictions are {kind(dt)}; expected a list of COCO results')
    columns = dt if isinstance(dt, Mapping) else _result_columns(dt, num_keypoints)
    missing = {'image_id', 'category_id', 'keypoints', 'score'} - columns.keys()
    if missing:
        raise ValueError(f'the predictions have no {min(missing)!r}')
    return columns


def _result_columns(results: Sequence[Mapping[str, Any]], num_keypoints: int) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for number, result in enumerate(results):
        if not isinstance(result, Mapping):
            raise ValueError(f'prediction {number} is {kind(result)}; expected a dict')
    for name in ('image_id', 'category_id', 'keypoints', 'score'):
        missing = [n for n, result in enumerate(results) if result.get(name) is None]
        if missing:
            raise ValueError(f'prediction {missing[0]} has no {name!r}')
        columns[name] = [result[name] for result in results]
    rows = columns['keypoints']
    try:
        if any(len(row) != 3 * num_keypoints for row in rows):
            raise ValueError
        columns['keypoints'] = _floats(rows, 3 * num_keypoints)
    except (TypeError, ValueError, OverflowError):
        columns['keypoints'] = _explained_floats(columns['image_id'], rows, num_keypoints)
    # As in pycocotools, the first prediction decides whether boxes count.
    if results and results[0].get('bbox') is not None and len(results[0]['bbox']):
        columns['bbox'] = [result['bbox'] for result in results]
    return columns


def _explained_floats(images: list[Any], rows: list[Any], num_keypoints: int) -> np.ndarray:
    """Convert keypoints of predictions to (N, 3 K), or raise a ValueError that names one."""

    def describe(number: int) -> str:
        return f'a prediction in image {images[number]!r}'

    for number, row in enumerate(rows):
        if problem := keypoints_problem(row, num_keypoints):
            raise ValueError(f'{describe(number)}: {problem}')
        check_number(describe(number), len(row), num_keypoints)
    return _as_numbers(rows, (3 * num_keypoints,), 'keypoints', 'numbers', describe)


def _floats(rows: Sequence[Sequence[float]], length: int) -> np.ndarray:
    """Convert rows of ``length`` numbers to (N, length), faster than ``np.array``."""
    numbers = np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * length)
    return numbers.reshape(len(rows), length)


def _as_floating(values: Any) -> np.ndarray:
    values = np.asarray(values)
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _keypoints(length: int) -> str:
    return f'{length // 3} keypoints' if length % 3 == 0 else f'{length} numbers'
