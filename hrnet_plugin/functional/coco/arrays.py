"""Annotations and predictions in COCO's format, or as arrays, made ready for the evaluation.

Letters for axes: D detections, G annotated people, K keypoints.
"""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from ...utils.json_files import read_json
from .oks import blocks, stable_argsort
from .schema import (
    check_coco_dict,
    coco_entries,
    errors_name,
    keypoints_problem,
    kind,
    quote,
)

# How much of its box a person fills; stands in for an area that was not annotated, as in MMPose.
PERSON_PER_BOX = 0.53


def coco_to_arrays(gt: Any) -> dict[str, Any]:
    """Annotations as ``evaluate_coco_keypoints`` reads them fastest, to be converted once.

    Args:
        gt: annotations in COCO format: a dict, the path of a JSON file, or a ``pycocotools`` COCO.

    Returns:
        dict: ``images`` (I,) and ``categories`` (C,), their ids; ``annotations``, a dict of
        ``id``, ``image_id``, ``category_id``, ``iscrowd`` and ``num_keypoints``, each (G,),
        ``keypoints`` (G, K, 3), ``bbox`` (G, 4) and ``area`` (G,), NaN where there is none.
        Annotations of categories that are not listed are left out. One without keypoints
        (missing, null or an empty list) has K unlabelled ones: it is ignored, and so are
        detections matched to it; K is 0 where no annotation has any.

    Raises:
        ValueError: if something is missing or of another kind than COCO's format has it, or if
            people have different numbers of keypoints.
    """
    return arrays_and_rows(gt)[0]


def arrays_and_rows(gt: Any) -> tuple[dict[str, Any], np.ndarray]:
    """What :func:`coco_to_arrays` returns, and which (G,) of the given annotations are in it."""
    content = load(gt)
    with errors_name(gt):
        return _arrays_and_rows(content)


def _arrays_and_rows(gt: Any) -> tuple[dict[str, Any], np.ndarray]:
    check_coco_dict(gt)
    images = _listed_ids(gt, 'images')
    categories = _listed_ids(dict(gt, categories=_or(gt.get('categories'), ())), 'categories')
    table = gt.get('annotations')
    if isinstance(table, Mapping):
        table = _complete(table)
        rows = np.arange(len(table['image_id']))
    else:
        entries = coco_entries(gt, 'annotations')
        rows = _of_categories(categories, entries)
        table = annotation_columns([entries[row] for row in rows])
    arrays = dict(
        images=images,
        categories=categories if len(categories) else table['category_id'],
        annotations=table,
    )
    return arrays, rows


def annotation_columns(annotations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The annotations of :func:`coco_to_arrays` from a list of them."""

    def called(number: int) -> str:
        return f'annotation {quote(annotations[number].get("id", number))}'

    def column(name: str) -> list[Any]:
        for number, ann in enumerate(annotations):
            if ann.get(name) is None:
                raise ValueError(f'{called(number)} has no {name!r}')
        return [ann[name] for ann in annotations]

    def ids(name: str, values: list[Any]) -> np.ndarray:
        for number, value in enumerate(values):
            if not isinstance(value, (int, float, str, np.generic)):
                raise ValueError(
                    f'{called(number)}: {name!r} is {kind(value)}; expected a number or text'
                )
        return plain_ids(values)

    def numbers(name: str, default: float, whole: bool) -> np.ndarray:
        values = [_or(ann.get(name), default) for ann in annotations]
        expected = f'a {"whole " if whole else ""}number'
        return _as_numbers(values, (), name, expected, called, np.int64 if whole else np.float64)

    keypoints, has_keypoints = _keypoint_rows(annotations, called)
    num_keypoints = np.where(has_keypoints, numbers('num_keypoints', -1, whole=True), 0)
    labelled: np.ndarray = np.any(keypoints[..., 2] > 0, axis=1)
    boxes = [ann.get('bbox') for ann in annotations]
    for number, box in enumerate(boxes):
        if box is None:
            if labelled[number]:
                raise ValueError(f"{called(number)} has no 'bbox'")
            boxes[number] = (0, 0, 0, 0)  # of an ignored instance: at no detection
    four = '4 numbers, x, y, width and height'
    return dict(
        id=ids('id', [ann.get('id', number) for number, ann in enumerate(annotations)]),
        image_id=ids('image_id', column('image_id')),
        category_id=ids('category_id', column('category_id')),
        keypoints=keypoints,
        bbox=_as_numbers(boxes, (4,), 'bbox', four, called),
        area=numbers('area', np.nan, whole=False),
        iscrowd=np.array([bool(ann.get('iscrowd')) for ann in annotations], bool),
        num_keypoints=num_keypoints,
    )


def _keypoint_rows(
    annotations: Sequence[Mapping[str, Any]], called: Callable[[int], str]
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (G, K, 3), zeros for an annotation without, and which have any (G,)."""
    rows = [ann.get('keypoints') for ann in annotations]
    lengths = [-1 if row is None else len(row) if hasattr(row, '__len__') else 1 for row in rows]
    has_keypoints = np.array(lengths, int) > 0
    with_some = np.flatnonzero(has_keypoints).tolist()
    # The length that most have is right, the others are wrong.
    length = Counter(lengths[n] for n in with_some).most_common(1)[0][0] if with_some else 0
    try:
        keypoints = _floats([rows[n] for n in with_some], length)
        sound = length % 3 == 0 and all(lengths[n] == length for n in with_some)
    except (TypeError, ValueError, OverflowError):
        sound = False
    if not sound:
        for number in with_some:
            if problem := keypoints_problem(rows[number]):
                raise ValueError(f'{called(number)}: {problem}')
        for number in with_some:
            if lengths[number] != length:
                usual = next(n for n in with_some if lengths[n] == length)
                raise ValueError(
                    f'{called(number)} has {_keypoints(lengths[number])}, and {called(usual)} has '
                    f'{_keypoints(length)}{_of_category(annotations, number, usual)}; all people '
                    'must have as many, of 3 numbers each'
                )
        flat = [rows[number] for number in with_some]
        keypoints = _as_numbers(
            flat, (length,), 'keypoints', 'numbers', lambda n: called(with_some[n])
        )
    table = np.zeros((len(rows), length // 3, 3))
    table[has_keypoints] = keypoints.reshape(len(with_some), length // 3, 3)
    return table, has_keypoints


def _of_category(annotations: Sequence[Mapping[str, Any]], one: int, other: int) -> str:
    """A hint where two annotations are of different categories."""
    a, b = (annotations[number].get('category_id') for number in (one, other))
    return '' if a == b else f' (they are of categories {quote(a)} and {quote(b)})'


def _as_numbers(
    values: Sequence[Any],
    shape: tuple[int, ...],
    name: str,
    expected: str,
    called: Callable[[int], str],
    dtype: Any = np.float64,
) -> np.ndarray:
    """Values of one field as an array (N, *shape); null, in a list of numbers, is NaN.

    Raises:
        ValueError: one of them is something else; it says which.
    """
    try:
        table = np.array(values)
        if table.dtype.kind in 'biuf' and table.shape == (len(values), *shape):
            if dtype is np.float64:
                return table.astype(np.float64)
            if table.dtype.kind in 'bi':
                return table.astype(np.int64)
    except (TypeError, ValueError, OverflowError):
        pass  # which of them?
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
            raise ValueError(f'{called(number)}: {name!r} is {quote(value)}; expected {expected}')
    return table


def as_id(value: Any) -> Any:
    """Make ids comparable: the digits of a string become their number."""
    value = value.item() if hasattr(value, 'item') else value
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def id_order(value: Any) -> tuple:
    """Sort key of ids, numbers before strings."""
    return isinstance(value, str), value


def plain_ids(values: Any) -> np.ndarray:
    """Ids as :func:`as_id` makes them: int64 if all are whole numbers, else objects."""
    if isinstance(values, np.ndarray) and values.dtype.kind in 'iu':
        return values.astype(np.int64, copy=False)
    keys = [as_id(value) for value in values]
    if all(type(key) is int and -(2**63) <= key < 2**63 for key in keys):
        return np.array(keys, dtype=np.int64)
    for key in keys:
        if not isinstance(key, (int, float, str)):
            raise ValueError(f'an id is {kind(key)}; expected a number or text')
    objects = np.empty(len(keys), dtype=object)
    objects[:] = keys
    return objects


class Ids:
    """Numbers 0, 1, … for ids, in their order."""

    def __init__(self, values: Any) -> None:
        keys = plain_ids(values)
        self.whole = keys.dtype == np.int64
        self.values = np.unique(keys) if self.whole else sorted({*keys}, key=id_order)

    def __len__(self) -> int:
        return len(self.values)

    def number(self, values: Any) -> np.ndarray:
        """Number of each id, -1 for those that are not known."""
        keys = plain_ids(values)
        if not (self.whole and keys.dtype == np.int64):
            numbers = {key: n for n, key in enumerate(self.values)}
            return np.array([numbers.get(key, -1) for key in keys], dtype=np.int64)
        if not len(self) or not len(keys):
            return np.full(len(keys), -1)
        # Detections of one image mostly come one after the other: look up once for all of them.
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        sought = keys[starts]
        found = np.minimum(np.searchsorted(self.values, sought), len(self) - 1)
        found = np.where(self.values[found] == sought, found, -1)
        return np.repeat(found, np.diff(np.r_[starts, len(keys)]))


@dataclass(frozen=True)
class Groups:
    """Numbers for the pairs of a category and an image: people are only sought within one."""

    images: Ids
    categories: Ids

    def number(self, images: np.ndarray, categories: np.ndarray) -> np.ndarray:
        """Group of each pair of numbers, -1 where either is."""
        known = (images >= 0) & (categories >= 0)
        return np.where(known, categories * len(self.images) + images, -1)

    def category(self, group: np.ndarray) -> np.ndarray:
        return group // max(1, len(self.images))

    def __len__(self) -> int:
        return len(self.images) * len(self.categories)


@dataclass(frozen=True)
class People:
    """Annotated people, sorted by group."""

    row: np.ndarray  # (G,), which of the annotations
    group: np.ndarray  # (G,)
    keypoints: np.ndarray  # (G, K, 3), x, y and above 0 where labelled
    area: np.ndarray  # (G,)
    bbox: np.ndarray  # (G, 4)
    crowd: np.ndarray  # (G,)
    ignore: np.ndarray  # (G,), crowds and people without a labelled keypoint

    @property
    def visible(self) -> np.ndarray:
        """(G, K)."""
        return self.keypoints[..., 2]

    def only(self, keypoint: int) -> 'People':
        """The same people with one keypoint; those of whom it is not labelled are ignored."""
        one = self.keypoints[:, keypoint, None]
        return replace(self, keypoints=one, ignore=self.crowd | ~(one[:, 0, 2] > 0))


# Lowest and highest corners, x and y apart: two (2, N).
Box = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Detections:
    """The best detections of each group, sorted by group and falling score."""

    row: np.ndarray  # (D,), which of the predictions
    group: np.ndarray  # (D,)
    score: np.ndarray  # (D,)
    by_score: np.ndarray  # (D,), order of falling score over all groups, first groups first
    keypoints: np.ndarray  # (all predictions, K, 3)
    box: Box  # (2, D), around the keypoints
    area: np.ndarray  # (D,)

    def only(self, keypoint: int) -> 'Detections':
        """The same detections, of the same size, with one keypoint."""
        one = np.ascontiguousarray(self.keypoints[:, keypoint, None])
        corner = one[self.row, 0, :2].T.astype(np.float64)
        return replace(self, keypoints=one, box=(corner, corner))


def load(source: Any) -> Any:
    """The content of a JSON file or a ``pycocotools`` COCO; anything else is content itself."""
    if isinstance(source, (str, os.PathLike)):
        return read_json(os.fspath(source))
    return getattr(source, 'dataset', source)


def read_people(
    table: Mapping[str, Any], groups: Groups, num_keypoints: int, use_area: bool
) -> People:
    """People of the annotations of :func:`coco_to_arrays`; warns of areas that are not usable."""
    image, category = (
        ids.number(table[name])
        for ids, name in ((groups.images, 'image_id'), (groups.categories, 'category_id'))
    )
    group = groups.number(image, category)
    row = stable_argsort(group + 1, len(groups) + 1)
    row = row[group[row] >= 0]

    keypoints = table['keypoints']
    if len(keypoints) and not keypoints[0].size:  # nobody has any: they are unlabelled
        keypoints = np.zeros((len(keypoints), num_keypoints, 3))
    if len(row):
        _check_number(
            f'annotation {as_id(table["id"][row[0]])!r}', keypoints[0].size, num_keypoints
        )
    keypoints = keypoints[row].reshape(len(row), num_keypoints, 3)
    bbox, crowd = table['bbox'][row], table['iscrowd'][row]
    _check_people(table['id'][row], keypoints, bbox)

    labelled = table['num_keypoints'][row]
    labelled = np.where(labelled < 0, (keypoints[..., 2] > 0).sum(axis=-1), labelled)
    ignore = crowd | (labelled == 0)
    box_area = bbox[:, 2] * bbox[:, 3] * PERSON_PER_BOX
    area = table['area'][row] if use_area else box_area
    _warn_about_areas(area, box_area, ignore)
    area = np.where(np.isnan(area), box_area, area)
    return People(row, group[row], keypoints, area, bbox, crowd, ignore)


def read_detections(dt: Any, groups: Groups, num_keypoints: int, max_dets: int) -> Detections:
    """The ``max_dets`` best predictions of each group; see ``evaluate_coco_keypoints``."""
    with errors_name(dt):
        columns = _prediction_columns(load(dt), num_keypoints)
    keypoints = _as_floating(columns['keypoints'])
    count = len(keypoints)
    if count:
        _check_number('predictions', keypoints[0].size, num_keypoints)
    else:
        warnings.warn(
            'there are no predictions: AP and AR are 0, or -1 where there is nobody to find',
            stacklevel=4,  # the caller of evaluate_coco_keypoints
        )
    keypoints = np.ascontiguousarray(keypoints).reshape(count, num_keypoints, 3)
    score = _column('score', columns['score'], count, np.float64)
    images = _ids_column('image_id', columns['image_id'], count)
    categories = _ids_column('category_id', columns['category_id'], count)
    bbox = columns.get('bbox')
    if bbox is not None:
        bbox = _as_array('bbox', bbox)
        if bbox.size != 4 * count:
            raise ValueError(f'bbox has shape {bbox.shape}; expected ({count}, 4)')
        bbox = bbox.reshape(count, 4)
    check_finite(images, keypoints, score, *(() if bbox is None else (bbox,)))

    image, category = groups.images.number(images), groups.categories.number(categories)
    _check_known('image', images, image, groups.images, every=True)
    _check_known('category', categories, category, groups.categories, every=False)
    row, group, by_score = _rank(groups.number(image, category), score, len(groups), max_dets)
    low, high = (corner.take(row, axis=1) for corner in extents(keypoints))
    with np.errstate(over='ignore'):  # an infinite area is as good as any that is too large
        width, height = high - low
        if bbox is not None:
            width, height = bbox[row, 2:].T
        area = width * height
    return Detections(row, group, score[row], by_score, keypoints, (low, high), area)


def check_finite(images: Sequence[Any] | np.ndarray, *arrays: np.ndarray) -> None:
    """Raise a ValueError that names the first image with a NaN or an infinity in any array."""
    for array in arrays:
        with np.errstate(over='ignore', invalid='ignore'):
            if np.isfinite(array.sum()):  # what all of its terms then are
                continue
        bad = ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
        if bad.any():
            raise ValueError(
                f'{bad.sum()} predictions are NaN or infinite, the first in image '
                f'{as_id(images[int(np.argmax(bad))])!r}; look for a diverged training or an '
                'overflow in half precision'
            )


def spans(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``counts[0]`` indices from ``starts[0]`` on, then ``counts[1]`` from ``starts[1]`` on, …."""
    indices = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    indices += np.arange(len(indices))
    return indices


def falling(score: np.ndarray) -> np.ndarray:
    """Stable order of falling scores.

    NumPy's default sort is not stable but many times faster than its stable one: so equal scores
    are put back into their order afterwards.
    """
    order = np.argsort(-score)
    changes = np.diff(score[order]) != 0
    if changes.all():
        return order
    run = np.concatenate([[0], np.cumsum(changes)]) * len(order)
    return np.sort(run + order) - run


def _rank(
    group: np.ndarray, score: np.ndarray, groups: int, max_dets: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort by group and falling score, and keep the best of each group.

    Args:
        group: (N,), -1 for what is left out.

    Returns:
        Three (D,): which are kept, their groups, and the order of falling score over all groups,
        in which equal scores are in the order of their groups.
    """
    by_group = stable_argsort(group + 1, groups + 1)
    by_group = by_group[np.count_nonzero(group < 0) :]
    by_score = by_group[falling(score[by_group])]
    row = by_score[stable_argsort(group[by_score], groups)]
    sizes = np.bincount(group[row], minlength=groups)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    row = row[rank < max_dets]
    place = np.full(len(group), -1)
    place[row] = np.arange(len(row))
    by_score = place[by_score]
    return row, group[row], by_score[by_score >= 0]


def extents(keypoints: np.ndarray, labelled_only: bool = False) -> Box:
    """The smallest boxes around keypoints (N, K, 3), float64.

    Args:
        labelled_only: whether only those count whose third number is above 0. Where none is, a box
            is from infinity to minus infinity.
    """
    low, high = np.empty((2, 2, len(keypoints)))
    for block in blocks(len(keypoints), keypoints.shape[1] * 3):
        # Transposed, as reductions over the last but one axis are slow.
        points = np.ascontiguousarray(keypoints[block, :, :2].transpose(2, 1, 0))
        left_out = labelled_only and ~(keypoints[block, :, 2].T > 0)
        np.copyto(points, np.inf, where=left_out)
        points.min(axis=1, out=low[:, block])
        np.copyto(points, -np.inf, where=left_out)
        points.max(axis=1, out=high[:, block])
    return low, high


def _of_categories(categories: np.ndarray, annotations: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Which are of the listed categories, if any are listed: others may be without keypoints."""
    known = {*categories.tolist(), None}
    of = [as_id(ann.get('category_id')) for ann in annotations]
    for ann, category in zip(annotations, of):
        if not isinstance(category, (int, float, str, type(None))):
            raise ValueError(
                f"annotation {quote(ann.get('id'))}: 'category_id' is {kind(category)}; expected "
                'a number or text'
            )
    return np.array([n for n, c in enumerate(of) if c in known or not len(categories)], np.intp)


def _listed_ids(content: Mapping[str, Any], part: str) -> np.ndarray:
    """Ids of images or categories, which are dicts or the ids themselves."""
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


def _complete(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of annotations, those that may be missing included."""
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
        raise ValueError(f'keypoints have shape {keypoints.shape}; expected (people, K, 3)')
    count = len(keypoints)
    bbox = _as_array('bbox', columns['bbox'])
    if bbox.size != 4 * count:
        raise ValueError(f'bbox has shape {bbox.shape}; expected ({count}, 4)')

    def column(name: str, default: Any, kind: type) -> np.ndarray:
        return _column(name, columns.get(name, default), count, kind)

    return dict(
        id=_ids_column('id', columns.get('id', np.arange(count)), count),
        image_id=_ids_column('image_id', columns['image_id'], count),
        category_id=_ids_column('category_id', columns['category_id'], count),
        keypoints=keypoints,
        bbox=bbox.reshape(count, 4),
        area=column('area', np.nan, float),
        iscrowd=column('iscrowd', False, bool),
        num_keypoints=column('num_keypoints', -1, int),
    )


def _column(name: str, values: Any, count: int, kind: type) -> np.ndarray:
    """Values (count,); a single one stands for all."""
    values = _as_array(name, values, kind)
    if values.ndim and values.size != count:
        raise ValueError(f'there are {values.size} values of {name!r} for {count} people')
    return np.broadcast_to(values.reshape(values.size if values.ndim else ()), (count,))


def _as_array(name: str, values: Any, kind: type = float) -> np.ndarray:
    try:
        return np.asarray(values, kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f'{name!r} is no array of numbers: {error}') from error


def _ids_column(name: str, values: Any, count: int) -> np.ndarray:
    values = [values] * count if np.ndim(values) == 0 else values
    if len(values) != count:
        raise ValueError(f'there are {len(values)} values of {name!r} for {count} people')
    return plain_ids(values)


def _prediction_columns(dt: Any, num_keypoints: int) -> Mapping[str, Any]:
    """Predictions as columns, from a list of results, or from a COCO dict or columns."""
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
    """Keypoints of predictions, (D, 3 K), or a ValueError that says which are something else."""

    def called(number: int) -> str:
        return f'a prediction in image {images[number]!r}'

    for number, row in enumerate(rows):
        if problem := keypoints_problem(row, num_keypoints):
            raise ValueError(f'{called(number)}: {problem}')
        _check_number(called(number), len(row), num_keypoints)
    return _as_numbers(rows, (3 * num_keypoints,), 'keypoints', 'numbers', called)


def _floats(rows: Sequence[Sequence[float]], length: int) -> np.ndarray:
    """Rows of ``length`` numbers each, (N, length); faster than ``np.array``."""
    numbers = np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * length)
    return numbers.reshape(len(rows), length)


def _as_floating(values: Any) -> np.ndarray:
    values = np.asarray(values)
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _keypoints(length: int) -> str:
    return f'{length // 3} keypoints' if length % 3 == 0 else f'{length} numbers'


def _check_number(what: str, length: int, num_keypoints: int) -> None:
    if length != 3 * num_keypoints:
        raise ValueError(
            f'{what}: {_keypoints(length)}, but there are {num_keypoints} sigmas; expected 3 '
            'numbers for each sigma, and the sigmas of the same skeleton'
        )


def _check_people(ids: np.ndarray, keypoints: np.ndarray, bbox: np.ndarray) -> None:
    """Raise a ValueError if a labelled keypoint or a box is not finite: it matches anything."""
    if np.isfinite(keypoints.sum()) and np.isfinite(bbox.sum()):  # what all terms then are
        return
    unfit = ~np.isfinite(keypoints[..., :2]).all(axis=-1) & (keypoints[..., 2] > 0)
    bad = unfit.any(axis=-1) | ~np.isfinite(bbox).all(axis=-1)
    if bad.any():
        raise ValueError(
            f'{bad.sum()} annotations have a NaN or an infinity among their keypoints or in their '
            f'box; the first is annotation {as_id(ids[np.argmax(bad)])!r}'
        )


def _check_known(what: str, ids: np.ndarray, numbers: np.ndarray, known: Ids, every: bool) -> None:
    """Predictions that name nothing in the annotations would silently score 0."""
    if not (numbers < 0).any():
        return
    unknown = {*ids[numbers < 0].tolist()}
    shared = len(np.unique(numbers[numbers >= 0]))
    if every or not shared:
        raise ValueError(
            f'{what} {min(unknown, key=id_order)!r} of the predictions is not among the '
            f'annotations, which have {", ".join(repr(as_id(i)) for i in known.values[:3])}, … '
            f'({shared} ids are shared, {len(unknown)} are not); were both, and any `bbox_file`, '
            'made for the same data set?'
        )


def _warn_about_areas(area: np.ndarray, box_area: np.ndarray, ignore: np.ndarray) -> None:
    level = 5  # the caller of evaluate_coco_keypoints
    missing = np.isnan(area)
    if (counted := missing & ~ignore).any():
        warnings.warn(
            f'{counted.sum()} of {len(area)} annotations have no usable area; '
            f'{PERSON_PER_BOX} of the box area is taken instead',
            stacklevel=level,
        )
    tiny = np.sum((np.where(missing, box_area, area) < 1) & ~ignore)
    if tiny:
        warnings.warn(
            f'{tiny} annotated people have an area of 0 or less than a pixel, and can hardly be '
            'matched; leave the area out, or say use_area=False, to go by their boxes',
            stacklevel=level,
        )
