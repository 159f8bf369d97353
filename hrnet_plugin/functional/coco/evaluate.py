"""COCO's keypoint evaluation (https://cocodataset.org/#keypoints-eval) on arrays.

Letters for axes: D detections, G annotated people, K keypoints, T OKS thresholds, A area ranges,
C categories, R recall steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import (
    Detections,
    Groups,
    Ids,
    People,
    arrays_and_rows,
    read_detections,
    read_people,
)
from .matching import Matches, match
from .oks import COCO_SIGMAS, keypoint_similarity

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
) -> dict[str, Any]:
    """Average precision and recall of predicted keypoints, as COCO defines them.

    Ids may be any numbers, 0 included, or strings; a string of digits is the same id as its
    number.

    Args:
        gt: annotations in COCO format: a dict, the path of a JSON file, or a ``pycocotools`` COCO;
            or as arrays: a dict of ``images`` and ``categories``, arrays of ids, and
            ``annotations``, a dict of arrays ``image_id``, ``category_id``, ``keypoints``
            (G, K, 3), ``bbox`` (G, 4) and, or not, ``area``, ``iscrowd``, ``num_keypoints`` and
            ``id``. ``coco_to_arrays`` makes the latter out of the former.
        dt: predictions: a list of COCO result dicts (``image_id``, ``category_id``, ``keypoints``
            of 3K numbers, ``score``, and ``bbox`` (x, y, w, h) or not), the path of a JSON file
            that holds such a list, a ``pycocotools`` COCO, or a dict of arrays with the same
            keys (``keypoints`` (D, K, 3) and ``bbox`` (D, 4)). Without ``bbox`` a prediction is as
            large as the extent of its keypoints.
        sigmas: (K,); COCO's 17 if not given.
        max_dets: how many predictions count in each image, best scores first.
        use_area: whether to believe the annotated areas, or to take 0.53 of the annotated boxes.
            A person whose annotation has no area always gets the latter, with a warning.
        oks_thresholds: (T,); 0.5, 0.55, … 0.95 if not given.
        area_ranges: name -> lowest and highest area, in square pixels; one must be called
            ``'all'``. COCO's all, medium and large if not given.
        matches: whether to also return who was matched to whom.

    Returns:
        dict: ``AP AP50 AP75 APM APL AR AR50 AR75 ARM ARL``, -1 where there is nobody to find or no
        such threshold or range; ``AP_name`` and ``AR_name`` for ranges of other names; ``OKS``,
        the mean OKS of those who are found at the lowest threshold, -1 if nobody is; and the
        arrays behind AP and AR, laid out as in ``pycocotools``: ``precision`` (T, R, C, A, 1),
        ``recall`` (T, C, A, 1), ``scores`` (T, R, C, A, 1), -1 where there is nobody to find. With
        ``matches``, also a dict of that name: ``dt`` (D,), which predictions count, sorted by
        category, image and falling score; ``gt`` (D, A, T), the annotation that each is matched
        to, or -1; ``gt_row`` (G,), which annotations were read: those of listed categories;
        ``dt_ignore`` (D, A, T) and ``gt_ignore`` (G, A), which of these predictions and
        annotations neither help nor harm.

    Raises:
        ValueError: if a prediction or its box is not finite, if keypoints and sigmas differ in
            number, if predictions name images or only categories that the annotations lack, or if
            an option is out of range.
    """
    options = _Options.of(sigmas, max_dets, oks_thresholds, area_ranges)
    groups, people, detections, rows = _read(gt, dt, options, use_area)
    ignore, outside, matched = _match(people, detections, options)
    result = _evaluate(groups, people, detections, options, (ignore, outside, matched))
    result['OKS'] = _mean_or_minus_one(matched.oks[_found_pairs(matched, ignore, options)])
    if matches:
        result['matches'] = _who_is_whom(people, detections, ignore, outside, matched, rows)
    return result


def evaluate_each_keypoint(
    gt: Any,
    dt: Any,
    *,
    sigmas: Sequence[float] | np.ndarray | None = None,
    max_dets: int = 20,
    use_area: bool = True,
) -> dict[str, np.ndarray]:
    """Average precision and recall of each keypoint, as if a skeleton had no other.

    People are matched anew for each keypoint, by its similarity alone. Of whom it is not labelled
    is ignored, and so is whatever is found around them. Scores and sizes are those of the whole
    predictions.

    Args:
        gt: as for :func:`evaluate_coco_keypoints`, and so are the others.

    Returns:
        dict: ``AP AP50 AP75 AR AR50 AR75``, each (K,); -1 for a keypoint that is labelled nowhere.
        And ``OKS`` (K,): how similar each keypoint is, from 0 to 1, in the mean over those who are
        found at an OKS of 0.5 of all keypoints together; -1 if there is none.
    """
    options = _Options.of(sigmas, max_dets, None, dict(all=AREA_RANGES['all']))
    groups, people, detections, _ = _read(gt, dt, options, use_area)
    names = ('AP', 'AP50', 'AP75', 'AR', 'AR50', 'AR75')
    values = []
    for k in range(len(options.sigmas)):
        data = people.only(k), detections.only(k), options.only(k)
        result = _evaluate(groups, *data, _match(*data))
        values.append([result[name] for name in names])
    return {
        **dict(zip(names, np.array(values).reshape(-1, len(names)).T)),
        'OKS': _similarities(people, detections, options),
    }


@dataclass(frozen=True)
class _Options:
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

    def only(self, keypoint: int) -> '_Options':
        sigmas = self.sigmas[keypoint, None]
        return _Options(sigmas, self.max_dets, self.thresholds, self.area_ranges)


def _read(
    gt: Any, dt: Any, options: _Options, use_area: bool
) -> tuple[Groups, People, Detections, np.ndarray]:
    """Both sides, and which of the annotations were read."""
    gt, rows = arrays_and_rows(gt)
    groups = Groups(Ids(gt['images']), Ids(gt['categories']))
    count = len(options.sigmas)
    people = read_people(gt['annotations'], groups, count, use_area)
    detections = read_detections(dt, groups, count, options.max_dets)
    return groups, people, detections, rows


def _match(
    people: People, detections: Detections, options: _Options
) -> tuple[np.ndarray, np.ndarray, Matches]:
    """Who is ignored in each area range (G, A), what is found outside of it (A, D), matches."""
    ranges = np.array(list(options.area_ranges.values()), np.float64)
    ignore = people.ignore[:, None] | _outside(people.area, ranges)
    matched = match(people, detections, ignore, options.thresholds, options.sigmas)
    return ignore, _outside(detections.area, ranges).T, matched


def _found_pairs(matched: Matches, ignore: np.ndarray, options: _Options) -> np.ndarray:
    """Which candidate pairs (N,) are matched at the lowest threshold, to somebody who counts."""
    a, t = list(options.area_ranges).index('all'), int(np.argmin(options.thresholds))
    return np.flatnonzero(matched.unpack_one(matched.hits, a, t) & ~ignore[matched.pairs[1], a])


def _similarities(people: People, detections: Detections, options: _Options) -> np.ndarray:
    """See ``OKS`` of :func:`evaluate_each_keypoint`."""
    ignore, _, matched = _match(people, detections, options)
    d, g = (ends[_found_pairs(matched, ignore, options)] for ends in matched.pairs)
    pred = detections.keypoints[detections.row[d], :, :2]
    similarity = keypoint_similarity(
        pred, people.keypoints[g, :, :2], people.area[g], options.sigmas
    )
    labelled = people.visible[g] > 0
    return np.array([_mean_or_minus_one(s[v]) for s, v in zip(similarity.T, labelled.T)])


def _mean_or_minus_one(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else -1.0


def _outside(area: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Whether each area is outside each range, bounds included: (N, A)."""
    return (area[:, None] < ranges[:, 0]) | (area[:, None] > ranges[:, 1])


def _evaluate(
    groups: Groups,
    people: People,
    detections: Detections,
    options: _Options,
    matching: tuple[np.ndarray, np.ndarray, Matches],
) -> dict[str, Any]:
    ignore, outside, matched = matching
    shape = (
        len(options.thresholds),
        len(RECALL_STEPS),
        len(groups.categories),
        len(options.area_ranges),
        1,
    )
    precision, scores = np.full(shape, -1.0), np.full(shape, -1.0)
    recall = np.full(shape[:1] + shape[2:], -1.0)
    by_score = detections.by_score
    category = groups.category(detections.group[by_score])
    for c in range(len(groups.categories)):
        order = by_score[category == c]
        curves = _Curves.of(order, detections.score[order], matched)
        wanted = np.sum(~ignore[groups.category(people.group) == c], axis=0)
        for a in np.flatnonzero(wanted):
            precision[:, :, c, a, 0], recall[:, c, a, 0], scores[:, :, c, a, 0] = curves(
                a, outside[a, order], int(wanted[a])
            )
    arrays = dict(precision=precision, recall=recall, scores=scores)
    return {**_summarise(precision, recall, options), **arrays}


@dataclass(frozen=True)
class _Curves:
    """Precision over recall of one category, of detections sorted by falling score.

    Precision only rises where somebody is found, and only detections that have candidates can find
    anybody: so it is computed there alone, and the others are merely counted.
    """

    score: np.ndarray  # (D,)
    place: np.ndarray  # (M,), where the detections with candidates are among the D
    found: np.ndarray  # (A, T, M), of these
    ignored: np.ndarray  # (A, T, M)

    @classmethod
    def of(cls, order: np.ndarray, score: np.ndarray, matched: Matches) -> '_Curves':
        number = np.full(max(order.max(initial=-1), matched.detection.max(initial=-1)) + 1, -1)
        number[matched.detection] = np.arange(len(matched.detection))
        chosen = number[order]
        place = np.flatnonzero(chosen >= 0)
        chosen = chosen[place]
        found, ignored = (
            matched.unpack([word[chosen] for word in words])
            for words in (matched.found, matched.ignored)
        )
        return cls(score, place, found, ignored)

    def __call__(
        self, area_range: int, outside: np.ndarray, wanted: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Precision at each recall step, made monotonous: its highest at this recall or above.

        Args:
            outside: (D,); whoever is there but not annotated is wrong in his own range only.
            wanted: how many people there are to find.

        Returns:
            Precision (T, R), final recall (T,), and the score at which each recall is reached
            (T, R); 0 where it never is.
        """
        found = self.found[area_range]
        # Detections are right or wrong unless they have found somebody ignored or, having found
        # nobody, are outside.
        judged = np.cumsum(
            found | ~(self.ignored[area_range] | outside[self.place]), axis=1, dtype=np.int32
        )
        others = ~outside
        others[self.place] = False
        judged += np.cumsum(others, dtype=np.int32)[self.place]

        # How many must be found for each recall step.
        needed = np.searchsorted(np.arange(wanted + 1) / wanted, RECALL_STEPS)
        precision, scores = np.zeros((2, len(found), len(needed)))
        scores[:, needed == 0] = self.score[0] if len(self.score) else 0
        for t, hits in enumerate(map(np.flatnonzero, found)):
            if len(hits):
                precisions = np.arange(1, len(hits) + 1) / (judged[t, hits] + np.spacing(1.0))
                at = np.maximum(needed[needed <= len(hits)] - 1, 0)
                best = np.maximum.reduceat(precisions, at)
                precision[t, : len(at)] = np.maximum.accumulate(best[::-1])[::-1]
                reached = needed[: len(at)] > 0
                scores[t, : len(at)][reached] = self.score[self.place[hits[at[reached]]]]
        return precision, found.sum(axis=1) / wanted, scores


def _summarise(precision: np.ndarray, recall: np.ndarray, options: _Options) -> dict[str, float]:
    def mean(values: np.ndarray) -> float:
        return _mean_or_minus_one(values[values > -1])

    names = list(options.area_ranges)
    everybody = names.index('all')
    labels = {'medium': 'M', 'large': 'L', **{n: f'_{n}' for n in names if n not in AREA_RANGES}}
    summary = {}
    for name, values in (('AP', precision), ('AR', recall)):
        summary[name] = mean(values[..., everybody, :])
        for threshold in (0.5, 0.75):
            at = options.thresholds == threshold
            summary[f'{name}{threshold * 100:.0f}'] = mean(values[at][..., everybody, :])
        for size, label in labels.items():
            within = [n == size for n in names]
            summary[f'{name}{label}'] = mean(values[..., within, :])
    return summary


def _who_is_whom(
    people: People,
    detections: Detections,
    ignore: np.ndarray,
    outside: np.ndarray,
    matched: Matches,
    rows: np.ndarray,
) -> dict[str, np.ndarray]:
    """See ``matches`` of :func:`evaluate_coco_keypoints`."""
    gt = np.full((*matched.shape, len(detections.row)), -1)
    a, t, pair = np.nonzero(matched.unpack(matched.hits))
    d, g = (ends[pair] for ends in matched.pairs)
    gt[a, t, d] = rows[people.row[g]]
    dt_ignore = (gt < 0) & outside[:, None]
    dt_ignore[..., matched.detection] |= matched.unpack(matched.ignored)
    gt_ignore = np.ones((len(rows), ignore.shape[1]), dtype=bool)
    gt_ignore[people.row] = ignore
    return dict(
        dt=detections.row,
        gt=gt.transpose(2, 0, 1),
        gt_row=rows,
        dt_ignore=dt_ignore.transpose(2, 0, 1),
        gt_ignore=gt_ignore,
    )
