"""Annotations and predictions in COCO's format, or as arrays, made ready for the evaluation.

Letters for axes: D detections, G annotated people, K keypoints.
"""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from .oks import blocks, stable_argsort

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
        Annotations of categories that are not listed are left out.

    Raises:
        ValueError: if something is missing, or if people have different numbers of keypoints.
    """
    return arrays_and_rows(gt)[0]


def arrays_and_rows(gt: Any) -> tuple[dict[str, Any], np.ndarray]:
    """What :func:`coco_to_arrays` returns, and which (G,) of the given annotations are in it."""
    gt = load(gt)
    for name in ('images', 'annotations'):
        if name not in gt:
            raise ValueError(f'the annotations have no {name!r}; expected COCO format')
    categories = _listed_ids(() if gt.get('categories') is None else gt['categories'])
    table = gt['annotations']
    if isinstance(table, Mapping):
        table = _complete(table)
        rows = np.arange(len(table['image_id']))
    else:
        rows = _of_categories(categories, table)
        table = annotation_columns([table[row] for row in rows])
    arrays = dict(
        images=_listed_ids(gt['images']),
        categories=categories if len(categories) else table['category_id'],
        annotations=table,
    )
    return arrays, rows


def annotation_columns(annotations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The annotations of :func:`coco_to_arrays` from a list of them."""

    def column(name: str) -> list[Any]:
        for number, ann in enumerate(annotations):
            if ann.get(name) is None:
                raise ValueError(f'annotation {ann.get("id", number)!r} has no {name!r}')
        return [ann[name] for ann in annotations]

    rows = column('keypoints')
    numbers = len(rows[0]) if rows else 0
    for ann, row in zip(annotations, rows):
        if len(row) != numbers or numbers % 3:
            raise ValueError(
                f'annotation {ann.get("id")!r} has {_keypoints(len(row))}, and annotation '
                f'{annotations[0].get("id")!r} has {_keypoints(numbers)}; all people must '
                'have as many, of 3 numbers each'
            )
    return dict(
        id=plain_ids([ann.get('id', number) for number, ann in enumerate(annotations)]),
        image_id=plain_ids(column('image_id')),
        category_id=plain_ids(column('category_id')),
        keypoints=_floats(rows, numbers).reshape(len(rows), numbers // 3, 3),
        bbox=np.array(column('bbox'), np.float64).reshape(len(rows), 4),
        area=np.array([_or(ann.get('area'), np.nan) for ann in annotations], np.float64),
        iscrowd=np.array([bool(ann.get('iscrowd')) for ann in annotations], bool),
        num_keypoints=np.array([_or(ann.get('num_keypoints'), -1) for ann in annotations], int),
    )


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
    if isinstance(source, (str, os.PathLike)):
        with open(source, encoding='utf-8') as file:
            return json.load(file)
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
    dt = load(dt)
    dt = dt['annotations'] if isinstance(dt, Mapping) and 'annotations' in dt else dt
    columns = dt if isinstance(dt, Mapping) else _result_columns(dt, num_keypoints)
    missing = {'image_id', 'category_id', 'keypoints', 'score'} - columns.keys()
    if missing:
        raise ValueError(f'the predictions have no {min(missing)!r}')
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
    bbox = None if bbox is None else np.asarray(bbox, np.float64).reshape(count, 4)
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
    return np.array([n for n, c in enumerate(of) if c in known or not len(categories)], np.intp)


def _listed_ids(entries: Any) -> np.ndarray:
    """Ids of images or categories, which are dicts or the ids themselves."""
    if isinstance(entries, np.ndarray):
        return plain_ids(entries)
    return plain_ids([entry['id'] if isinstance(entry, Mapping) else entry for entry in entries])


def _complete(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of annotations, those that may be missing included."""
    for name in ('image_id', 'category_id', 'keypoints', 'bbox'):
        if name not in columns:
            raise ValueError(f'the annotations have no {name!r}')
    keypoints = np.asarray(columns['keypoints'], np.float64)
    count = len(keypoints)

    def column(name: str, default: Any, kind: type) -> np.ndarray:
        return _column(name, columns.get(name, default), count, kind)

    return dict(
        id=_ids_column('id', columns.get('id', np.arange(count)), count),
        image_id=_ids_column('image_id', columns['image_id'], count),
        category_id=_ids_column('category_id', columns['category_id'], count),
        keypoints=keypoints,
        bbox=np.asarray(columns['bbox'], np.float64).reshape(count, 4),
        area=column('area', np.nan, float),
        iscrowd=column('iscrowd', False, bool),
        num_keypoints=column('num_keypoints', -1, int),
    )


def _column(name: str, values: Any, count: int, kind: type) -> np.ndarray:
    """Values (count,); a single one stands for all."""
    values = np.asarray(values, kind)
    if values.ndim and values.size != count:
        raise ValueError(f'there are {values.size} values of {name!r} for {count} people')
    return np.broadcast_to(values.reshape(values.size if values.ndim else ()), (count,))


def _ids_column(name: str, values: Any, count: int) -> np.ndarray:
    values = [values] * count if np.ndim(values) == 0 else values
    if len(values) != count:
        raise ValueError(f'there are {len(values)} values of {name!r} for {count} people')
    return plain_ids(values)


def _result_columns(results: Sequence[Mapping[str, Any]], num_keypoints: int) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in ('image_id', 'category_id', 'keypoints', 'score'):
        missing = [n for n, result in enumerate(results) if result.get(name) is None]
        if missing:
            raise ValueError(f'prediction {missing[0]} has no {name!r}')
        columns[name] = [result[name] for result in results]
    for image, row in zip(columns['image_id'], columns['keypoints']):
        _check_number(f'a prediction in image {image!r}', len(row), num_keypoints)
    columns['keypoints'] = _floats(columns['keypoints'], 3 * num_keypoints)
    # As in pycocotools, the first prediction decides whether boxes count.
    if results and results[0].get('bbox') is not None and len(results[0]['bbox']):
        columns['bbox'] = [result['bbox'] for result in results]
    return columns


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
    if (missing := np.isnan(area)).any():
        warnings.warn(
            f'{missing.sum()} of {len(area)} annotations have no usable area; '
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
