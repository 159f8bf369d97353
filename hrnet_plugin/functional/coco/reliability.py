"""How often keypoint and instance scores are right.

Letters for axes: N scores, B bins, D detections, K keypoints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .accumulate import AREA_RANGES, EvaluationOptions, Instances, match_instances, read_instances
from .oks import keypoint_similarity

UNMATCHED = ('wrong', 'skip')
# OKS from which on the keypoints of a detection are compared with those of an annotation (M. R.
# Ronchi and P. Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", 2017)
LOCALISATION_OKS = 0.1
Z_95 = 1.959963984540054  # standard deviations around the mean that hold 95 % of a normal


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often scores are right, in bins of equal width.

    Attributes:
        edges: (B + 1,), from 0 to 1. Scores outside of 0 to 1 are in the first or the last bin.
        count: Number (B,) of scores in each bin.
        mean_score: (B,), NaN in empty bins.
        share_correct: (B,), NaN in empty bins.
        low: (B,), lower end of the 95 % Wilson interval of ``share_correct``; 0 in empty bins.
        high: (B,), its upper end; 1 in empty bins.
        ece: Expected calibration error: ``abs(share_correct - mean_score)``, averaged over scores;
            NaN without any.
        num_outside: Number of scores outside of 0 to 1.
        by_group: The same of each group, by its number or name.
    """

    edges: np.ndarray
    count: np.ndarray
    mean_score: np.ndarray
    share_correct: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ece: float
    num_outside: int
    by_group: Mapping[Any, 'Reliability'] = field(default_factory=dict, repr=False)

    @property
    def total(self) -> int:
        """Number of scores."""
        return int(self.count.sum())

    def __str__(self) -> str:
        """Return a table of the bins that have scores."""
        lines = ['score      count     mean   right  95 % interval']
        for n in np.flatnonzero(self.count):
            lines.append(
                f'{self.edges[n]:.2f}-{self.edges[n + 1]:.2f}  {self.count[n]:8}  '
                f'{self.mean_score[n]:.3f}  {self.share_correct[n]:6.1%}  '
                f'{self.low[n]:.1%} to {self.high[n]:.1%}'
            )
        lines.append(f'expected calibration error {self.ece:.4f} over {self.total} scores')
        if self.num_outside:
            lines.append(f'{self.num_outside} scores are outside of 0 to 1')
        return '\n'.join(lines)


def reliability(
    scores: np.ndarray,
    correct: np.ndarray,
    *,
    num_bins: int = 10,
    groups: np.ndarray | None = None,
) -> Reliability:
    """Compare scores with how often they are right.

    Args:
        scores: Scores (N,).
        correct: (N,), whether each is right.
        num_bins: Number of bins of equal width from 0 to 1.
        groups: Group (N,) of each score, such as the keypoint that it is of.

    Returns:
        :class:`~hrnet_plugin.functional.Reliability`.

    Raises:
        ValueError: Shapes differ, a score is not finite, or ``num_bins`` is below 1.

    Example:
        Two of four are right, and claim 0.9:

        >>> result = reliability(np.array([0.9, 0.9, 0.9, 0.9]), np.array([1, 1, 0, 0]))
        >>> round(result.ece, 3), result.share_correct[-1:]
        (0.4, array([0.5]))
    """
    scores, correct = np.asarray(scores, np.float64), np.asarray(correct)
    if scores.ndim != 1 or correct.shape != scores.shape:
        raise ValueError(
            f'scores have shape {scores.shape} and correct {correct.shape}; expected (N,) of both'
        )
    if num_bins < 1:
        raise ValueError(f'num_bins must be at least 1, not {num_bins}')
    _check_finite(scores)
    correct = correct.astype(bool)
    by_group = {}
    if groups is not None:
        groups = np.asarray(groups)
        if groups.shape != scores.shape:
            raise ValueError(f'groups have shape {groups.shape}; expected {scores.shape}')
        by_group = {
            group.item(): _bins(scores[groups == group], correct[groups == group], num_bins)
            for group in np.unique(groups)
        }
    return _bins(scores, correct, num_bins, by_group)


def keypoint_reliability(
    gt: Any,
    dt: Any,
    *,
    sigmas: Sequence[float] | np.ndarray | None = None,
    similarity: float = 0.5,
    use_area: bool = True,
    max_dets: int = 20,
    unmatched: str = 'wrong',
    num_bins: int = 10,
) -> Reliability:
    """Compare keypoint scores with how often a keypoint is in its place.

    A keypoint is right if its similarity ``exp(-d^2 / (2 s^2 k^2))`` is above ``similarity``.
    Detections are matched to annotations at an OKS of 0.1; of a match, labelled keypoints count.
    Detections matched to ignored instances (crowds, no labelled keypoint) count nowhere.

    Args:
        gt: Annotations, in any form that :func:`evaluate_coco_keypoints` takes.
        dt: Predictions, in any form that :func:`evaluate_coco_keypoints` takes; the third number
            of each keypoint is its score.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area;
            COCO's 17 by default.
        similarity: Similarity above which a keypoint is right.
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes.
        max_dets: Number of predictions that count in each image, best scores first.
        unmatched: ``'wrong'``: all keypoints of an unmatched detection are wrong, so that scores
            are compared with all keypoints that a user sees; second detections of an instance
            and instances that are not annotated count as wrong, too. ``'skip'``: they are left
            out, so that scores are those of keypoints of instances that exist.
        num_bins: Number of bins of equal width from 0 to 1.

    Returns:
        :class:`~hrnet_plugin.functional.Reliability`, ``by_group`` that of each keypoint, by its
        index.

    Raises:
        OSError: A file cannot be read.
        ValueError: See :func:`evaluate_coco_keypoints`, or an option is out of range.
    """
    check_events(similarity, 0.5, unmatched)
    options = matching_options(sigmas, max_dets, LOCALISATION_OKS)
    data = read_instances(gt, dt, options, use_area)
    samples = keypoint_samples(data, options, similarity, unmatched)
    result = reliability(samples.score, samples.correct, num_bins=num_bins)
    by_keypoint = {
        k: _bins(samples.score[of_k], samples.correct[of_k], num_bins)
        for k in range(len(options.sigmas))
        for of_k in [samples.keypoint == k]
    }
    return replace(result, by_group=by_keypoint)


def instance_reliability(
    gt: Any,
    dt: Any,
    *,
    oks: float = 0.5,
    sigmas: Sequence[float] | np.ndarray | None = None,
    use_area: bool = True,
    max_dets: int = 20,
    num_bins: int = 10,
) -> Reliability:
    """Compare instance scores with how often a detection is matched at an OKS threshold.

    Unmatched detections are wrong; those matched to ignored instances count nowhere.

    Args:
        gt: Annotations, in any form that :func:`evaluate_coco_keypoints` takes.
        dt: Predictions, in any form that :func:`evaluate_coco_keypoints` takes.
        oks: OKS threshold.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area;
            COCO's 17 by default.
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes.
        max_dets: Number of predictions that count in each image, best scores first.
        num_bins: Number of bins of equal width from 0 to 1.

    Returns:
        :class:`~hrnet_plugin.functional.Reliability`.

    Raises:
        OSError: A file cannot be read.
        ValueError: See :func:`evaluate_coco_keypoints`, or an option is out of range.
    """
    check_events(0.5, oks, 'wrong')
    options = matching_options(sigmas, max_dets, oks)
    samples = instance_samples(read_instances(gt, dt, options, use_area), options)
    return reliability(samples.score, samples.correct, num_bins=num_bins)


@dataclass(frozen=True)
class ScoreSamples:
    """Scores (N,), whether they are right, and where they are from."""

    score: np.ndarray
    correct: np.ndarray
    image: np.ndarray
    keypoint: np.ndarray


def matching_options(
    sigmas: Sequence[float] | np.ndarray | None, max_dets: int, oks: float
) -> EvaluationOptions:
    return EvaluationOptions.of(sigmas, max_dets, [oks], dict(all=AREA_RANGES['all']))


def _matched(data: Instances, options: EvaluationOptions) -> tuple[np.ndarray, np.ndarray]:
    """Return the annotated instance (D,) of each detection or -1, and which count (D,)."""
    matching = match_instances(data, options)
    matches = matching.matches
    instance = np.full(len(data.detections.row), -1)
    d, g = (ends[matching.good_pairs] for ends in matches.pairs)
    instance[d] = g
    counts = ~matching.dt_outside[0] | (instance >= 0)
    counts[matches.detection] &= ~matches.unpack_one(matches.matched_to_ignored, 0, 0)
    return instance, counts


def keypoint_samples(
    data: Instances, options: EvaluationOptions, similarity: float, unmatched: str
) -> ScoreSamples:
    instance, counts = _matched(data, options)
    detections, gt = data.detections, data.gt
    keypoints = detections.keypoints[detections.row]
    is_sample = np.zeros(keypoints.shape[:2], bool)
    correct = is_sample.copy()
    d = np.flatnonzero(counts & (instance >= 0))
    g = instance[d]
    is_sample[d] = gt.visible[g] > 0
    with np.errstate(over='ignore', invalid='ignore'):  # unlabelled keypoints may be anything
        correct[d] = (
            keypoint_similarity(
                keypoints[d, :, :2], gt.keypoints[g, :, :2], gt.area[g], options.sigmas
            )
            > similarity
        )
    if unmatched == 'wrong':
        is_sample[counts & (instance < 0)] = True
    d, k = np.nonzero(is_sample)
    image = detections.group[d] % max(1, len(data.groups.images))
    return ScoreSamples(keypoints[d, k, 2].astype(np.float64), correct[d, k], image, k)


def instance_samples(data: Instances, options: EvaluationOptions) -> ScoreSamples:
    instance, counts = _matched(data, options)
    d = np.flatnonzero(counts)
    image = data.detections.group[d] % max(1, len(data.groups.images))
    score = data.detections.score[d].astype(np.float64)
    return ScoreSamples(score, instance[d] >= 0, image, np.zeros(len(d), np.intp))


def _bins(
    scores: np.ndarray,
    correct: np.ndarray,
    num_bins: int,
    by_group: Mapping[Any, Reliability] | None = None,
) -> Reliability:
    edges = np.arange(num_bins + 1) / num_bins
    # A score on an edge is in the bin above, but 1 in the last.
    number = np.clip(np.searchsorted(edges, scores, side='right') - 1, 0, num_bins - 1)
    count = np.bincount(number, minlength=num_bins)
    with np.errstate(invalid='ignore'):
        mean_score = np.bincount(number, scores, minlength=num_bins) / count
        share = np.bincount(number, correct, minlength=num_bins) / count
    low, high = wilson_interval(share, count)
    gaps = np.abs(share - mean_score)[count > 0]
    ece = float(gaps @ count[count > 0] / len(scores)) if len(scores) else float('nan')
    outside = int(((scores < 0) | (scores > 1)).sum())
    return Reliability(
        edges,
        count,
        mean_score,
        share,
        low,
        high,
        ece,
        outside,
        {} if by_group is None else by_group,
    )


def wilson_interval(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % interval of shares (B,) of counts (B,); 0 to 1 where the count is 0.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    >>> low, high = wilson_interval(np.array([0.5]), np.array([10]))
    >>> low.round(3), high.round(3)
    (array([0.237]), array([0.763]))
    """
    number = np.maximum(1, count)
    p = np.where(count > 0, share, 0.5)
    center = (p + Z_95**2 / (2 * number)) / (1 + Z_95**2 / number)
    spread = np.sqrt(p * (1 - p) / number + Z_95**2 / (4 * number**2))
    half = Z_95 / (1 + Z_95**2 / number) * spread
    empty = count == 0
    low = np.where(empty, 0, np.maximum(0, center - half))
    return low, np.where(empty, 1, np.minimum(1, center + half))


def _check_finite(scores: np.ndarray) -> None:
    if not np.isfinite(scores).all():
        bad = np.flatnonzero(~np.isfinite(scores))
        raise ValueError(f'{len(bad)} scores are NaN or infinite, the first is score {bad[0]}')


def check_events(similarity: float, oks: float, unmatched: str) -> None:
    if not 0 <= similarity < 1:
        raise ValueError(f'similarity must be from 0 to below 1, not {similarity}')
    if not 0 < oks <= 1:
        raise ValueError(f'oks must be above 0 and at most 1, not {oks}')
    if unmatched not in UNMATCHED:
        raise ValueError(f'unmatched={unmatched!r}; expected {" or ".join(map(repr, UNMATCHED))}')
