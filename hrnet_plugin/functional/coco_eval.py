"""COCO's keypoint evaluation (https://cocodataset.org/#keypoints-eval) on arrays.

Detections are matched to people image by image, best score first; here the n-th best detections
of many images are matched at once, for all OKS thresholds and area ranges. Axes are named

    D detections, G annotated people, K keypoints, P images that hold both,
    T OKS thresholds, A area ranges, C categories, R recall steps.
"""

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .oks import COCO_SIGMAS, aligned_oks

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_STEPS = np.linspace(0, 1, 101)
AREA_RANGES = {'all': (0, 1e5**2), 'medium': (32**2, 96**2), 'large': (96**2, 1e5**2)}

# How much of its box a person fills; stands in for an area that was not annotated, as in MMPose.
PERSON_PER_BOX = 0.53

# OKS values compared at once: bounds the memory, about 17 * 8 times as many bytes.
PAIRS_AT_ONCE = 100_000


def evaluate_coco_keypoints(
    gt: Any,
    dt: Any,
    *,
    sigmas: Sequence[float] | np.ndarray | None = None,
    max_dets: int = 20,
    use_area: bool = True,
) -> dict[str, Any]:
    """Average precision and recall of predicted keypoints, as COCO defines them.

    Ids may be any numbers, 0 included, or strings; a string of digits is the same id as its
    number.

    Args:
        gt: annotations in COCO format: a dict, the path of a JSON file, or a ``pycocotools`` COCO.
        dt: predictions: a list of COCO result dicts (``image_id``, ``category_id``, ``keypoints``
            of 3K numbers, ``score``, and ``bbox`` (x, y, w, h) or not), the path of a JSON file
            that holds such a list, or a dict of arrays with the same keys (``keypoints`` (D, K, 3)
            and ``bbox`` (D, 4)). Without ``bbox`` a prediction is as large as the extent of its
            keypoints.
        sigmas: (K,); COCO's 17 if not given.
        max_dets: how many predictions count in each image, best scores first.
        use_area: whether to believe the annotated areas, or to take 0.53 of the annotated boxes.
            A person whose annotation has no area always gets the latter, with a warning.

    Returns:
        dict: ``AP AP50 AP75 APM APL AR AR50 AR75 ARM ARL``, -1 where there is nobody to find, and
        the arrays behind them, laid out as in ``pycocotools``: ``precision`` (T, R, C, A, 1),
        ``recall`` (T, C, A, 1), ``scores`` (T, R, C, A, 1), -1 where there is nobody to find.

    Raises:
        ValueError: if a prediction is not finite, if keypoints and sigmas differ in number, or if
            predictions name images or only categories that the annotations lack.
    """
    gt = _load(gt)
    for name in ('images', 'annotations'):
        if name not in gt:
            raise ValueError(f'the annotations have no {name!r}; expected COCO format')
    sigmas = np.asarray(COCO_SIGMAS if sigmas is None else sigmas)
    groups = _Groups.of(gt)
    people = _read_people(gt['annotations'], groups, sigmas, use_area)
    detections = _read_detections(_load(dt), groups, sigmas, max_dets)

    ranges = np.array(list(AREA_RANGES.values()))
    people_ignored = people.ignore[:, None] | _outside(people.area, ranges)
    matched, ignored = _match(people, people_ignored, detections, sigmas)
    # Whoever is found but not annotated counts as false in the range of his own size only.
    ignored |= ~matched & _outside(detections.area, ranges)[:, :, None]

    shape = len(OKS_THRESHOLDS), len(RECALL_STEPS), len(groups.categories), len(ranges), 1
    precision, scores = np.full(shape, -1.0), np.full(shape, -1.0)
    recall = np.full(shape[:1] + shape[2:], -1.0)
    for c in range(len(groups.categories)):
        found = groups.category(detections.group) == c
        order = np.flatnonzero(found)[np.argsort(-detections.score[found], kind='stable')]
        for a in range(len(ranges)):
            wanted = np.sum(~people_ignored[groups.category(people.group) == c, a])
            if wanted:
                precision[:, :, c, a, 0], recall[:, c, a, 0], scores[:, :, c, a, 0] = _curve(
                    matched[order, a], ignored[order, a], detections.score[order], wanted
                )
    arrays = dict(precision=precision, recall=recall, scores=scores)
    return {**_summarise(precision, recall), **arrays}


def as_id(value: Any) -> Any:
    """Make ids comparable: the digits of a string become their number."""
    value = value.item() if hasattr(value, 'item') else value
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def id_order(value: Any) -> tuple:
    """Sort key of ids, numbers before strings."""
    return isinstance(value, str), value


def check_finite(images: Sequence[Any], *arrays: np.ndarray) -> None:
    """Raise a ValueError that names the first image with a NaN or an infinity in any array."""
    for array in arrays:
        bad = ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
        if bad.any():
            raise ValueError(
                f'{bad.sum()} predictions are NaN or infinite, the first in image '
                f'{images[int(np.argmax(bad))]!r}; look for a diverged training or an overflow in '
                'half precision'
            )


@dataclass(frozen=True)
class _Groups:
    """Numbers for the pairs of a category and an image: people are only sought within one."""

    images: dict[Any, int]
    categories: dict[Any, int]

    @classmethod
    def of(cls, gt: Mapping[str, Any]) -> '_Groups':
        images = {as_id(image['id']) for image in gt['images']}
        categories = {as_id(category['id']) for category in gt.get('categories') or []}
        categories = categories or {as_id(ann.get('category_id')) for ann in gt['annotations']}
        return cls(
            {image: n for n, image in enumerate(sorted(images, key=id_order))},
            {category: n for n, category in enumerate(sorted(categories, key=id_order))},
        )

    def number(self, image_ids: Sequence[Any], category_ids: Sequence[Any]) -> np.ndarray:
        """Group of each (image, category), -1 where the annotations have no such pair."""
        images = np.array([self.images.get(as_id(i), -1) for i in image_ids], dtype=np.int64)
        categories = np.array(
            [self.categories.get(as_id(c), -1) for c in category_ids], dtype=np.int64
        )
        known = (images >= 0) & (categories >= 0)
        return np.where(known, categories * len(self.images) + images, -1)

    def category(self, group: np.ndarray) -> np.ndarray:
        return group // max(1, len(self.images))


@dataclass(frozen=True)
class _People:
    """Annotated people, sorted by group."""

    group: np.ndarray  # (G,)
    keypoints: np.ndarray  # (G, K, 2)
    visible: np.ndarray  # (G, K)
    area: np.ndarray  # (G,)
    bbox: np.ndarray  # (G, 4)
    ignore: np.ndarray  # (G,), crowds and people without a labelled keypoint
    crowd: np.ndarray  # (G,)


@dataclass(frozen=True)
class _Detections:
    """The best detections of each group, sorted by group and falling score."""

    group: np.ndarray  # (D,)
    keypoints: np.ndarray  # (D, K, 2)
    area: np.ndarray  # (D,)
    score: np.ndarray  # (D,)


def _load(source: Any) -> Any:
    if isinstance(source, (str, os.PathLike)):
        with open(source, encoding='utf-8') as file:
            return json.load(file)
    return getattr(source, 'dataset', source)


def _read_people(
    annotations: Sequence[Mapping[str, Any]], groups: _Groups, sigmas: np.ndarray, use_area: bool
) -> _People:
    def column(name: str, anns: Sequence[Mapping[str, Any]]) -> list[Any]:
        for ann in anns:
            if ann.get(name) is None:
                raise ValueError(f'annotation {ann.get("id")!r} has no {name!r}')
        return [ann[name] for ann in anns]

    group = groups.number(column('image_id', annotations), column('category_id', annotations))
    order = np.argsort(group, kind='stable')
    order = order[group[order] >= 0]
    anns = [annotations[i] for i in order]

    rows = column('keypoints', anns)
    for ann, row in zip(anns, rows):
        _check_length(f'annotation {ann.get("id")!r}', len(row), sigmas)
    keypoints = np.array(rows, np.float64).reshape(-1, len(sigmas), 3)
    visible = keypoints[..., 2]
    bbox = np.array(column('bbox', anns), np.float64).reshape(-1, 4)

    labelled = np.array([ann.get('num_keypoints', -1) for ann in anns], np.int64)
    labelled = np.where(labelled < 0, (visible > 0).sum(axis=-1), labelled)
    crowd = np.array([bool(ann.get('iscrowd', 0)) for ann in anns], dtype=bool)
    ignore = crowd | (labelled == 0)

    box_area = bbox[:, 2] * bbox[:, 3] * PERSON_PER_BOX
    area = (
        np.array([_or_nan(ann.get('area')) for ann in anns], np.float64) if use_area else box_area
    )
    _warn_about_areas(area, ignore)
    area = np.where(np.isnan(area), box_area, area)
    return _People(group[order], keypoints[..., :2], visible, area, bbox, ignore, crowd)


def _or_nan(value: Any) -> Any:
    return np.nan if value is None else value


def _warn_about_areas(area: np.ndarray, ignore: np.ndarray) -> None:
    if np.isnan(area).any():
        warnings.warn(
            f'{np.isnan(area).sum()} of {len(area)} annotations have no usable area; '
            f'{PERSON_PER_BOX} of the box area is taken instead',
            stacklevel=4,
        )
    elif (zeros := np.sum((area == 0) & ~ignore)) > 0:
        warnings.warn(
            f'{zeros} annotated people have an area of 0 and can hardly be matched; leave the '
            'area out, or say use_area=False, to go by their boxes',
            stacklevel=4,
        )


def _read_detections(dt: Any, groups: _Groups, sigmas: np.ndarray, max_dets: int) -> _Detections:
    columns = dt if isinstance(dt, Mapping) else _as_columns(dt, sigmas)
    images = columns['image_id']
    _check_known('image', images, groups.images, every=True)
    _check_known('category', columns['category_id'], groups.categories, every=False)

    keypoints = np.asarray(columns['keypoints'], np.float64)
    if len(keypoints):
        _check_length('predictions', keypoints[0].size, sigmas)
    keypoints = keypoints.reshape(-1, len(sigmas), 3)
    score = np.asarray(columns['score'], np.float64).reshape(-1)
    check_finite(images, keypoints, score)
    keypoints = keypoints[..., :2]
    if columns.get('bbox') is not None:
        size = np.asarray(columns['bbox'], np.float64).reshape(-1, 4)[:, 2:]
    else:
        size = keypoints.max(axis=1) - keypoints.min(axis=1)
    area = size[:, 0] * size[:, 1]

    group = groups.number(images, columns['category_id'])
    order = np.lexsort((-score, group))
    order = order[group[order] >= 0]
    rank = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    order = order[rank < max_dets]
    return _Detections(group[order], keypoints[order], area[order], score[order])


def _as_columns(results: Sequence[Mapping[str, Any]], sigmas: np.ndarray) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in ('image_id', 'category_id', 'keypoints', 'score'):
        missing = [n for n, result in enumerate(results) if name not in result]
        if missing:
            raise ValueError(f'prediction {missing[0]} has no {name!r}')
        columns[name] = [result[name] for result in results]
    for image, row in zip(columns['image_id'], columns['keypoints']):
        _check_length(f'a prediction in image {image!r}', len(row), sigmas)
    # As in pycocotools, the first prediction decides whether boxes count.
    if results and results[0].get('bbox'):
        columns['bbox'] = [result['bbox'] for result in results]
    return columns


def _check_length(what: str, length: int, sigmas: np.ndarray) -> None:
    if length != 3 * len(sigmas):
        keypoints = f'{length // 3} keypoints' if length % 3 == 0 else f'{length} numbers'
        raise ValueError(
            f'{what}: {keypoints}, but there are {len(sigmas)} sigmas; expected 3 numbers '
            'for each sigma, and the sigmas of the same skeleton'
        )


def _check_known(what: str, ids: Sequence[Any], known: Mapping[Any, int], every: bool) -> None:
    """Predictions that name nothing in the annotations would silently score 0."""
    unknown = sorted({as_id(i) for i in ids} - known.keys(), key=id_order)
    shared = len({as_id(i) for i in ids}) - len(unknown)
    if unknown and (every or not shared):
        raise ValueError(
            f'{what} {unknown[0]!r} of the predictions is not among the annotations, which have '
            f'{", ".join(map(repr, list(known)[:3]))}, … ({shared} ids are shared, {len(unknown)} '
            'are not); were both, and any `bbox_file`, made for the same data set?'
        )


def _outside(area: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Whether each area is outside each range, bounds included: (N, A)."""
    return (area[:, None] < ranges[:, 0]) | (area[:, None] > ranges[:, 1])


def _match(
    people: _People, people_ignored: np.ndarray, detections: _Detections, sigmas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Match detections to people.

    Args:
        people_ignored: (G, A).

    Returns:
        Two (D, A, T): whether a detection is matched, and whether to somebody who is ignored.
    """
    shape = len(detections.group), people_ignored.shape[1], len(OKS_THRESHOLDS)
    matched, ignored = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for d, d_exists, g, g_exists in _chunks(people.group, detections.group):
        similarity = aligned_oks(
            detections.keypoints[d][:, :, None],
            people.keypoints[g][:, None],
            people.visible[g][:, None],
            people.area[g][:, None],
            sigmas,
            people.bbox[g][:, None],
        )
        similarity[~(d_exists[:, :, None] & g_exists[:, None])] = -1
        hit, on_ignored = _match_chunk(similarity, people_ignored[g], people.crowd[g])
        matched[d[d_exists]], ignored[d[d_exists]] = hit[d_exists], on_ignored[d_exists]
    return matched, ignored


def _chunks(people_group: np.ndarray, detection_group: np.ndarray) -> Iterator[tuple]:
    """Collect groups with about as many people, and lay each out as one row of padded indices.

    Yields:
        Indices (P, D) of detections and whether each exists, and the same (P, G) for people.
    """
    shared = np.intersect1d(people_group, detection_group)
    g_start, d_start = (np.searchsorted(x, shared) for x in (people_group, detection_group))
    g_count = np.searchsorted(people_group, shared, side='right') - g_start
    d_count = np.searchsorted(detection_group, shared, side='right') - d_start
    buckets = np.ceil(np.log2(g_count))
    for bucket in np.unique(buckets):
        rows = np.flatnonzero(buckets == bucket)
        pairs = len(rows) * g_count[rows].max() * d_count[rows].max()
        for row in np.array_split(rows, min(len(rows), 1 + pairs // PAIRS_AT_ONCE)):
            d_nth, g_nth = np.arange(d_count[row].max()), np.arange(g_count[row].max())
            d_exists = d_nth < d_count[row, None]
            g_exists = g_nth < g_count[row, None]
            yield (
                d_start[row, None] + np.where(d_exists, d_nth, 0),
                d_exists,
                g_start[row, None] + np.where(g_exists, g_nth, 0),
                g_exists,
            )


def _match_chunk(
    similarity: np.ndarray, ignore: np.ndarray, crowd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give each detection, best score first, the most similar person who is still free.

    Somebody who counts goes before anybody who is ignored, and the last of equals before the
    others. A crowd stays free.

    Args:
        similarity: OKS (P, D, G), -1 where there is no such detection or person.
        ignore: (P, G, A).
        crowd: (P, G).

    Returns:
        Two (P, D, A, T): whether a detection is matched, and whether to somebody who is ignored.
    """
    similarity, crowd = similarity[..., ::-1], crowd[:, None, None, ::-1]  # argmax finds the last
    counts = ~ignore[:, ::-1].transpose(0, 2, 1)[:, :, None]  # (P, A, 1, G)
    thresholds = np.minimum(OKS_THRESHOLDS, 1 - 1e-10)[:, None]  # (T, 1)
    free = np.ones((*counts.shape[:2], len(thresholds), counts.shape[-1]), dtype=bool)
    people = np.arange(counts.shape[-1])
    matched, on_ignored = [], []
    for oks in np.moveaxis(similarity, 1, 0)[:, :, None, None]:  # (P, 1, 1, G)
        candidates = free & (oks >= thresholds)
        preferred = candidates & counts
        candidates = np.where(preferred.any(axis=-1, keepdims=True), preferred, candidates)
        best = np.where(candidates, oks, -1).argmax(axis=-1)[..., None]
        taken = candidates & (people == best)
        free &= ~taken | crowd
        matched.append(taken.any(axis=-1))
        on_ignored.append((taken & ~counts).any(axis=-1))
    return np.stack(matched, axis=1), np.stack(on_ignored, axis=1)


def _curve(
    matched: np.ndarray, ignored: np.ndarray, score: np.ndarray, wanted: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision at each recall step, made monotonous: its highest value at this recall or above.

    Args:
        matched: (D, T), best score first.
        ignored: (D, T); such detections are neither right nor wrong.
        score: (D,).
        wanted: how many people there are to find.

    Returns:
        Precision (T, R), final recall (T,), and the score at which each recall is reached (T, R);
        0 where it never is.
    """
    right = np.cumsum(matched & ~ignored, axis=0, dtype=np.float64).T
    wrong = np.cumsum(~matched & ~ignored, axis=0, dtype=np.float64).T
    recalls = right / wanted
    precisions = right / (right + wrong + np.spacing(1.0))
    precisions = np.maximum.accumulate(precisions[:, ::-1], axis=-1)[:, ::-1]
    reached = np.array([np.searchsorted(recall, RECALL_STEPS) for recall in recalls])
    # A recall that is never reached points behind the end, where the zero is.
    precisions = np.pad(precisions, ((0, 0), (0, 1)))
    final = recalls[:, -1] if len(score) else np.zeros(len(recalls))
    return np.take_along_axis(precisions, reached, axis=-1), final, np.append(score, 0)[reached]


def _summarise(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    def mean(values: np.ndarray) -> float:
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    everybody, medium, large = (
        list(AREA_RANGES).index(name) for name in ('all', 'medium', 'large')
    )
    summary = {}
    for name, values in (('AP', precision), ('AR', recall)):
        summary[name] = mean(values[..., everybody, :])
        for threshold in (0.5, 0.75):
            at = np.isclose(OKS_THRESHOLDS, threshold)
            summary[f'{name}{threshold * 100:.0f}'] = mean(values[at][..., everybody, :])
        summary[f'{name}M'] = mean(values[..., medium, :])
        summary[f'{name}L'] = mean(values[..., large, :])
    return summary
