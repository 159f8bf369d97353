"""COCO's keypoint evaluation (https://cocodataset.org/#keypoints-eval) on arrays.

Letters for axes: D detections, G annotated instances, K keypoints, T OKS thresholds, A area
ranges, C categories, R recall steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .arrays import read_annotations, read_predictions
from .ids import Groups, Ids
from .instances import Detections, GroundTruth
from .matching import Matches, match
from .oks import COCO_SIGMAS, keypoint_similarity
from .result import KeypointEvaluation, KeypointMatches

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_STEPS = np.linspace(0, 1, 101)
AREA_RANGES = {'all': (0, 1e5**2), 'medium': (32**2, 96**2), 'large': (96**2, 1e5**2)}


def evaluate_coco_keypoints(
    gt: Any,
    dt: Any,
    *,
    sigmas: Sequence[float] | np.ndarray | None = None,
    max_dets: int = 20,
    use_area: bool = True,
    oks_thresholds: Sequence[float] | np.ndarray | None = None,
    area_ranges: Mapping[str, tuple[float, float]] | None = None,
    matches: bool = False,
) -> KeypointEvaluation:
    """Compute the average precision and recall of predicted keypoints, as COCO defines them.

    The numbers are those of ``COCOeval`` of pycocotools (https://cocodataset.org/#keypoints-eval).
    Ids may be any numbers, 0 included, or strings; a string of digits is the same id as its
    number.

    Args:
        gt: Annotations in COCO format: a dict, the path of a JSON file, or a ``COCO`` of
            pycocotools; or as arrays: a dict of ``images`` and ``categories``, arrays of ids, and
            ``annotations``, a dict of arrays ``image_id``, ``category_id``, ``keypoints``
            (G, K, 3), ``bbox`` (G, 4) and, optionally, ``area``, ``iscrowd``, ``num_keypoints``
            and ``id``. ``coco_to_arrays`` converts the former to the latter.
        dt: Predictions: a list of COCO result dicts (``image_id``, ``category_id``, ``keypoints``
            of 3 K numbers, ``score`` and, optionally, ``bbox`` as x, y, width and height), the
            path of a JSON file that holds such a list, a ``COCO`` of pycocotools, or a dict of
            arrays with the same keys (``keypoints`` (N, K, 3) and ``bbox`` (N, 4)). Without
            ``bbox``, the area of a prediction is that of the extent of its keypoints.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area;
            COCO's 17 by default.
        max_dets: Number of predictions that count in each image, best scores first.
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes. An instance
            whose annotation has no area always gets the latter, with a warning.
        oks_thresholds: OKS thresholds (T,); 0.5, 0.55, … 0.95 by default.
        area_ranges: Name -> lowest and highest area, in square pixels; one must be called
            ``'all'``. COCO's all, medium and large by default.
        matches: Whether to also return which detections are matched to which annotations.

    Returns:
        :class:`~hrnet_plugin.functional.KeypointEvaluation`: AP and AR as attributes (``ap``,
        ``ap50``, …), the arrays behind them, and, if asked for, ``matches``. Values can be read
        by COCO's names, too: ``['AP']``, ``['AP50']``.

    Raises:
        OSError: A file cannot be read.
        ValueError: A prediction or its box is not finite, keypoints and sigmas differ in number,
            predictions name images or only categories that the annotations lack, something is not
            in COCO format, or an option is out of range.

    Example:
        Two instances, of which the second is not detected:

        >>> person = dict(image_id=1, category_id=1, keypoints=[10, 20, 2, 50, 90, 2])
        >>> other = dict(person, keypoints=[200, 20, 2, 240, 90, 2])
        >>> box = dict(bbox=[0, 10, 60, 90], area=4000)
        >>> gt = dict(
        ...     images=[dict(id=1)],
        ...     categories=[dict(id=1)],
        ...     annotations=[dict(person, **box), dict(other, **box)],
        ... )
        >>> result = evaluate_coco_keypoints(gt, [dict(person, score=0.9)], sigmas=[0.1, 0.1])
        >>> round(result.ap, 3), result.ar50, result.oks
        (0.505, 0.5, 1.0)
        >>> print(result)
        metric             OKS        area    max_dets  value
        average precision  0.50:0.95  all           20  0.505
        average precision  0.50       all           20  0.505
        average precision  0.75       all           20  0.505
        average precision  0.50:0.95  medium        20  0.505
        average precision  0.50:0.95  large         20  -1.000
        average recall     0.50:0.95  all           20  0.500
        average recall     0.50       all           20  0.500
        average recall     0.75       all           20  0.500
        average recall     0.50:0.95  medium        20  0.500
        average recall     0.50:0.95  large         20  -1.000
    """
    options = _Options.of(sigmas, max_dets, oks_thresholds, area_ranges)
    data = _read(gt, dt, options, use_area)
    matching = _match(data, options)
    table = _match_table(data, matching) if matches else None
    oks = _mean_or_minus_one(matching.matches.oks[matching.good_pairs])
    return _summarise(_accumulate(data, options, matching), options, oks, table)


def evaluate_each_keypoint(
    gt: Any,
    dt: Any,
    *,
    sigmas: Sequence[float] | np.ndarray | None = None,
    max_dets: int = 20,
    use_area: bool = True,
) -> dict[str, np.ndarray]:
    """Compute the average precision and recall of each keypoint, as if there were no other.

    Instances are matched anew for each keypoint, by its similarity alone. People without a label
    for this keypoint are ignored, as are detections matched to them. Scores and areas are those of
    the whole predictions.

    Args:
        gt: Annotations, in any form that :func:`evaluate_coco_keypoints` takes.
        dt: Predictions, in any form that :func:`evaluate_coco_keypoints` takes.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area;
            COCO's 17 by default.
        max_dets: Number of predictions that count in each image, best scores first.
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes.

    Returns:
        A dict of ``AP AP50 AP75 AR AR50 AR75``, each (K,), -1 for a keypoint that is labelled
        nowhere; and ``OKS`` (K,), the mean similarity of each keypoint, from 0 to 1, over the
        instances that are matched at an OKS of 0.5 of all keypoints together, -1 if there is none.

    Raises:
        OSError: A file cannot be read.
        ValueError: See :func:`evaluate_coco_keypoints`.

    Example:
        The second keypoint is off by 60 pixels:

        >>> person = dict(image_id=1, category_id=1, keypoints=[10, 20, 2, 50, 90, 2])
        >>> annotation = dict(person, bbox=[0, 10, 60, 90], area=4000)
        >>> gt = dict(images=[dict(id=1)], categories=[dict(id=1)], annotations=[annotation])
        >>> dt = [dict(person, keypoints=[10, 20, 1, 110, 90, 1], score=0.9)]
        >>> evaluate_each_keypoint(gt, dt, sigmas=[0.1, 0.1])['AR']
        array([1., 0.])
    """
    options = _Options.of(sigmas, max_dets, None, dict(all=AREA_RANGES['all']))
    data = _read(gt, dt, options, use_area)
    names = ('AP', 'AP50', 'AP75', 'AR', 'AR50', 'AR75')
    values = []
    for k in range(len(options.sigmas)):
        one, of_one = data.with_keypoint(k), options.with_keypoint(k)
        result = _summarise(_accumulate(one, of_one, _match(one, of_one)), of_one)
        values.append([result[name] for name in names])
    return {
        **dict(zip(names, np.array(values).reshape(-1, len(names)).T)),
        'OKS': _oks_of_each_keypoint(data, options),
    }


@dataclass(frozen=True)
class _Options:
    """Checked options of an evaluation."""

    sigmas: np.ndarray
    max_dets: int
    thresholds: np.ndarray
    area_ranges: Mapping[str, tuple[float, float]]

    @classmethod
    def of(
        cls,
        sigmas: Sequence[float] | np.ndarray | None,
        max_dets: int,
        thresholds: Sequence[float] | np.ndarray | None,
        area_ranges: Mapping[str, tuple[float, float]] | None,
    ) -> '_Options':
        sigmas = np.asarray(COCO_SIGMAS if sigmas is None else sigmas)
        thresholds = np.asarray(OKS_THRESHOLDS if thresholds is None else thresholds, np.float64)
        area_ranges = AREA_RANGES if area_ranges is None else area_ranges
        if sigmas.ndim != 1 or not (np.isfinite(sigmas) & (sigmas > 0)).all():
            raise ValueError(f'sigmas must be (K,) and above 0, not {sigmas.tolist()}')
        if thresholds.ndim != 1 or not len(thresholds) or np.isnan(thresholds).any():
            raise ValueError(f'oks_thresholds must be (T,) numbers, not {thresholds.tolist()}')
        if max_dets < 1:
            raise ValueError(f'max_dets must be at least 1, not {max_dets}')
        if 'all' not in area_ranges:
            raise ValueError(f"area_ranges has no 'all', but {', '.join(map(repr, area_ranges))}")
        return cls(sigmas, max_dets, thresholds, area_ranges)

    @property
    def all_areas(self) -> int:
        """Index of the area range ``'all'``."""
        return list(self.area_ranges).index('all')

    def with_keypoint(self, k: int) -> '_Options':
        return replace(self, sigmas=self.sigmas[k, None])


@dataclass(frozen=True)
class _Data:
    """Annotated and detected instances, sorted by group."""

    groups: Groups
    gt: GroundTruth
    detections: Detections
    rows: np.ndarray  # indices of the annotations that were read

    def with_keypoint(self, k: int) -> '_Data':
        return replace(
            self, gt=self.gt.with_keypoint(k), detections=self.detections.with_keypoint(k)
        )


@dataclass(frozen=True)
class _Matching:
    """Matches, and what is ignored in each area range."""

    matches: Matches
    gt_ignored: np.ndarray  # (G, A)
    dt_outside: np.ndarray  # (A, D), detections outside of the area range
    good_pairs: np.ndarray  # indices of pairs matched at the lowest threshold, ignored ones apart


@dataclass(frozen=True)
class _Accumulated:
    """Arrays behind AP and AR, laid out as in pycocotools."""

    precision: np.ndarray  # (T, R, C, A, 1)
    recall: np.ndarray  # (T, C, A, 1)
    scores: np.ndarray  # (T, R, C, A, 1)


def _read(gt: Any, dt: Any, options: _Options, use_area: bool) -> _Data:
    annotations = read_annotations(gt)
    groups = Groups(Ids(annotations.images), Ids(annotations.categories))
    count = len(options.sigmas)
    ground_truth = GroundTruth.of(annotations, groups, count, use_area)
    detections = Detections.of(read_predictions(dt, count), groups, options.max_dets)
    return _Data(groups, ground_truth, detections, annotations.rows)


def _match(data: _Data, options: _Options) -> _Matching:
    ranges = np.array(list(options.area_ranges.values()), np.float64)
    ignored = data.gt.ignore[:, None] | _outside(data.gt.area, ranges)
    matches = match(data.gt, data.detections, ignored, options.thresholds, options.sigmas)
    a, t = options.all_areas, int(np.argmin(options.thresholds))
    is_match = matches.unpack_one(matches.is_match, a, t)
    good_pairs = np.flatnonzero(is_match & ~ignored[matches.pairs[1], a])
    return _Matching(matches, ignored, _outside(data.detections.area, ranges).T, good_pairs)


def _outside(area: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Whether each area is outside of each range, of which both bounds are part: (…, A)."""
    return (area[:, None] < ranges[:, 0]) | (area[:, None] > ranges[:, 1])


def _accumulate(data: _Data, options: _Options, matching: _Matching) -> _Accumulated:
    """Compute precision over recall of each category, area range and threshold."""
    num_thresholds, num_categories = len(options.thresholds), len(data.groups.categories)
    shape = (num_thresholds, len(RECALL_STEPS), num_categories, len(options.area_ranges), 1)
    precision, scores = np.full(shape, -1.0), np.full(shape, -1.0)
    recall = np.full(shape[:1] + shape[2:], -1.0)
    by_score = data.detections.by_score
    category = data.groups.category(data.detections.group[by_score])
    gt_category = data.groups.category(data.gt.group)
    for c in range(num_categories):
        order = by_score[category == c]
        curves = _Curves.of(order, data.detections.score[order], matching.matches)
        num_gt = np.sum(~matching.gt_ignored[gt_category == c], axis=0)
        for a in np.flatnonzero(num_gt):
            precision[:, :, c, a, 0], recall[:, c, a, 0], scores[:, :, c, a, 0] = curves(
                a, matching.dt_outside[a, order], int(num_gt[a])
            )
    return _Accumulated(precision, recall, scores)


@dataclass(frozen=True)
class _Curves:
    """Precision over recall of one category, of detections sorted by descending score.

    Precision rises only at a match, and only detections with similar instances can be matched: so
    compute it there alone, and merely count the others.
    """

    score: np.ndarray  # (D,)
    place: np.ndarray  # (M,), indices among the D of detections with similar instances
    matched: np.ndarray  # (A, T, M), to an instance that counts
    matched_to_ignored: np.ndarray  # (A, T, M)

    @classmethod
    def of(cls, order: np.ndarray, score: np.ndarray, matches: Matches) -> '_Curves':
        number = np.full(max(order.max(initial=-1), matches.detection.max(initial=-1)) + 1, -1)
        number[matches.detection] = np.arange(len(matches.detection))
        numbers = number[order]
        place = np.flatnonzero(numbers >= 0)
        numbers = numbers[place]
        matched, matched_to_ignored = (
            matches.unpack([word[numbers] for word in words])
            for words in (matches.matched, matches.matched_to_ignored)
        )
        return cls(score, place, matched, matched_to_ignored)

    def __call__(
        self, area_range: int, outside: np.ndarray, num_gt: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute the highest precision at each recall step or above.

        Args:
            area_range: Index of the area range.
            outside: (D,). An unmatched detection is a false positive only within its own area
                range.
            num_gt: Number of annotated instances that count.

        Returns:
            Precision (T, R), highest recall (T,), and the score (T, R) at which each recall step
            is reached, 0 where it never is.
        """
        matched = self.matched[area_range]
        # Detections count unless matched to an ignored instance, or unmatched and outside.
        counts = matched | ~(self.matched_to_ignored[area_range] | outside[self.place])
        num_detections = np.cumsum(counts, axis=1, dtype=np.int32)
        false_positive = ~outside
        false_positive[self.place] = False
        num_detections += np.cumsum(false_positive, dtype=np.int32)[self.place]

        # Number of matches that each recall step takes
        needed = np.searchsorted(np.arange(num_gt + 1) / num_gt, RECALL_STEPS)
        precision, scores = np.zeros((2, len(matched), len(needed)))
        scores[:, needed == 0] = self.score[0] if len(self.score) else 0
        for t, hits in enumerate(map(np.flatnonzero, matched)):
            if len(hits):
                precisions = np.arange(1, len(hits) + 1) / (
                    num_detections[t, hits] + np.spacing(1.0)
                )
                at = np.maximum(needed[needed <= len(hits)] - 1, 0)
                best = np.maximum.reduceat(precisions, at)
                precision[t, : len(at)] = np.maximum.accumulate(best[::-1])[::-1]
                reached = needed[: len(at)] > 0
                scores[t, : len(at)][reached] = self.score[self.place[hits[at[reached]]]]
        return precision, matched.sum(axis=1) / num_gt, scores


def _summarise(
    accumulated: _Accumulated,
    options: _Options,
    oks: float = -1.0,
    matches: KeypointMatches | None = None,
) -> KeypointEvaluation:
    precision, recall = accumulated.precision, accumulated.recall
    a = options.all_areas

    def mean(values: np.ndarray) -> float:
        return _mean_or_minus_one(values[values > -1])

    def at(values: np.ndarray, threshold: float) -> float:
        return mean(values[options.thresholds == threshold][..., a, :])

    ap_by_area, ar_by_area = (
        {name: mean(values[..., n, :]) for n, name in enumerate(options.area_ranges)}
        for values in (precision, recall)
    )
    return KeypointEvaluation(
        ap=ap_by_area['all'],
        ap50=at(precision, 0.5),
        ap75=at(precision, 0.75),
        ap_medium=ap_by_area.get('medium', -1.0),
        ap_large=ap_by_area.get('large', -1.0),
        ar=ar_by_area['all'],
        ar50=at(recall, 0.5),
        ar75=at(recall, 0.75),
        ar_medium=ar_by_area.get('medium', -1.0),
        ar_large=ar_by_area.get('large', -1.0),
        ap_by_area=ap_by_area,
        ar_by_area=ar_by_area,
        oks=oks,
        precision=precision,
        recall=recall,
        scores=accumulated.scores,
        oks_thresholds=options.thresholds,
        max_dets=options.max_dets,
        matches=matches,
    )


def _oks_of_each_keypoint(data: _Data, options: _Options) -> np.ndarray:
    """See ``OKS`` of :func:`evaluate_each_keypoint`."""
    matching = _match(data, options)
    d, g = (ends[matching.good_pairs] for ends in matching.matches.pairs)
    gt, detections = data.gt, data.detections
    pred = detections.keypoints[detections.row[d], :, :2]
    similarity = keypoint_similarity(pred, gt.keypoints[g, :, :2], gt.area[g], options.sigmas)
    labelled = gt.visible[g] > 0
    return np.array([_mean_or_minus_one(s[v]) for s, v in zip(similarity.T, labelled.T)])


def _mean_or_minus_one(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else -1.0


def _match_table(data: _Data, matching: _Matching) -> KeypointMatches:
    matches, rows = matching.matches, data.rows
    gt = np.full((*matches.shape, len(data.detections.row)), -1)
    a, t, pair = np.nonzero(matches.unpack(matches.is_match))
    d, g = (ends[pair] for ends in matches.pairs)
    gt[a, t, d] = rows[data.gt.row[g]]
    dt_ignored = (gt < 0) & matching.dt_outside[:, None]
    dt_ignored[..., matches.detection] |= matches.unpack(matches.matched_to_ignored)
    gt_ignored = np.ones((len(rows), matches.shape[0]), dtype=bool)
    gt_ignored[data.gt.row] = matching.gt_ignored
    return KeypointMatches(
        detection=data.detections.row,
        matched_annotation=gt.transpose(2, 0, 1),
        annotation=rows,
        detection_ignored=dt_ignored.transpose(2, 0, 1),
        annotation_ignored=gt_ignored,
    )
