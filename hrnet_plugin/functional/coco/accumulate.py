"""Read, match and accumulate: the steps that evaluations of several kinds share.

Letters for axes: D detections, G annotated instances, K keypoints, T OKS thresholds, A area
ranges, C categories, R recall steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .arrays import Annotations, read_annotations, read_predictions
from .ids import Groups, Ids
from .instances import Detections, GroundTruth
from .matching import Matches, Pairs, match
from .oks import COCO_SIGMAS

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_STEPS = np.linspace(0, 1, 101)
AREA_RANGES = {'all': (0, 1e5**2), 'medium': (32**2, 96**2), 'large': (96**2, 1e5**2)}


@dataclass(frozen=True)
class EvaluationOptions:
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
    ) -> 'EvaluationOptions':
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

    def with_keypoint(self, k: int) -> 'EvaluationOptions':
        return replace(self, sigmas=self.sigmas[k, None])


@dataclass(frozen=True)
class Instances:
    """Annotated and detected instances, sorted by group."""

    groups: Groups
    gt: GroundTruth
    detections: Detections
    annotations: Annotations  # as they were read

    def with_keypoint(self, k: int) -> 'Instances':
        return replace(
            self, gt=self.gt.with_keypoint(k), detections=self.detections.with_keypoint(k)
        )


@dataclass(frozen=True)
class Matching:
    """Matches, and what is ignored in each area range."""

    matches: Matches
    gt_ignored: np.ndarray  # (G, A)
    dt_outside: np.ndarray  # (A, D), detections outside of the area range
    matched_pairs: np.ndarray  # indices of pairs matched at the lowest threshold, all areas
    good_pairs: np.ndarray  # those of them whose annotated instance counts


@dataclass(frozen=True)
class Accumulated:
    """Arrays behind AP and AR, laid out as in pycocotools."""

    precision: np.ndarray  # (T, R, C, A, 1)
    recall: np.ndarray  # (T, C, A, 1)
    scores: np.ndarray  # (T, R, C, A, 1)

    @classmethod
    def empty(cls, thresholds: int, categories: int, area_ranges: int) -> 'Accumulated':
        """Return arrays of -1, as of categories without annotated instances."""
        shape = (thresholds, len(RECALL_STEPS), categories, area_ranges, 1)
        recall = np.full(shape[:1] + shape[2:], -1.0)
        return cls(np.full(shape, -1.0), recall, np.full(shape, -1.0))

    def set(self, c: int, a: int, curves: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Set precision (T, R), recall (T,) and scores (T, R) of a category and area range."""
        self.precision[:, :, c, a, 0], self.recall[:, c, a, 0], self.scores[:, :, c, a, 0] = curves


def read_instances(gt: Any, dt: Any, options: EvaluationOptions, use_area: bool) -> Instances:
    """Read and sort annotations and predictions in any form that evaluations take.

    Call it from a public function: warnings name the line that called that.

    Raises:
        OSError: A file cannot be read.
        ValueError: See :func:`~hrnet_plugin.functional.evaluate_coco_keypoints`.
    """
    annotations = read_annotations(gt)
    groups = Groups(Ids(annotations.images), Ids(annotations.categories))
    count = len(options.sigmas)
    ground_truth = GroundTruth.of(annotations, groups, count, use_area)
    detections = Detections.of(read_predictions(dt, count), groups, options.max_dets)
    return Instances(groups, ground_truth, detections, annotations)


def match_instances(
    data: Instances, options: EvaluationOptions, pairs: Pairs | None = None
) -> Matching:
    """Match detections to annotated instances at each threshold, in each area range.

    Args:
        data: Instances.
        options: Options.
        pairs: Similar pairs, see :func:`match`; computed by default.
    """
    ranges = np.array(list(options.area_ranges.values()), np.float64)
    ignored = data.gt.ignore[:, None] | _outside(data.gt.area, ranges)
    matches = match(data.gt, data.detections, ignored, options.thresholds, options.sigmas, pairs)
    a, t = options.all_areas, int(np.argmin(options.thresholds))
    matched = np.flatnonzero(matches.unpack_one(matches.is_match, a, t))
    good_pairs = matched[~ignored[matches.pairs[1][matched], a]]
    outside = _outside(data.detections.area, ranges).T
    return Matching(matches, ignored, outside, matched, good_pairs)


def _outside(area: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Whether each area is outside of each range, of which both bounds are part: (…, A)."""
    return (area[:, None] < ranges[:, 0]) | (area[:, None] > ranges[:, 1])


def accumulate(data: Instances, options: EvaluationOptions, matching: Matching) -> Accumulated:
    """Compute precision over recall of each category, area range and threshold."""
    num_thresholds, num_categories = len(options.thresholds), len(data.groups.categories)
    accumulated = Accumulated.empty(num_thresholds, num_categories, len(options.area_ranges))
    for c, (order, annotated) in enumerate(by_category(data)):
        curves = Curves.of(order, data.detections.score[order], matching.matches)
        num_gt = np.sum(~matching.gt_ignored[annotated], axis=0)
        for a in np.flatnonzero(num_gt):
            accumulated.set(c, a, curves(a, matching.dt_outside[a, order], int(num_gt[a])))
    return accumulated


def by_category(data: Instances) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each category its detections by descending score, and a mask (G,) of instances."""
    by_score = data.detections.by_score
    category = data.groups.category(data.detections.group[by_score])
    gt_category = data.groups.category(data.gt.group)
    for c in range(len(data.groups.categories)):
        yield by_score[category == c], gt_category == c


@dataclass(frozen=True)
class Curves:
    """Precision over recall of one category, of detections sorted by descending score.

    Precision rises only at a match, and only detections with similar instances can be matched: so
    compute it there alone, and merely count the others.
    """

    score: np.ndarray  # (D,)
    place: np.ndarray  # (M,), indices among the D of detections with similar instances
    matched: np.ndarray  # (A, T, M), to an instance that counts
    matched_to_ignored: np.ndarray  # (A, T, M)

    @classmethod
    def of(cls, order: np.ndarray, score: np.ndarray, matches: Matches) -> 'Curves':
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


def mean_or_minus_one(values: np.ndarray) -> float:
    """Return the mean of values (N,); -1, as COCO has it, where there are none."""
    return float(values.mean()) if values.size else -1.0
