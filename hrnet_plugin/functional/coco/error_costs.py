"""What keypoint errors cost: AP of predictions of which one error after another is corrected.

Letters for axes: D detections, G annotated instances, K keypoints, M matched pairs of both, C
categories, R recall steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .accumulate import (
    OKS_THRESHOLDS,
    EvaluationOptions,
    Instances,
    Matching,
    accumulate,
    match_instances,
    mean_or_minus_one,
)
from .diagnosis_result import (
    CURVE_THRESHOLDS,
    INVERSION,
    JITTER,
    MISS,
    SWAP,
    CorrectedPrecision,
)
from .matching import Pairs, similar_pairs
from .nms import SCORE_DECIMALS, soft_nms_scores
from .oks import EPSILON, variances

# Similarity of corrected keypoints; None: the largest that was found.
CORRECTED_SIMILARITY = {
    'miss': (MISS, 0.5),
    'swap': (SWAP, None),
    'inversion': (INVERSION, None),
    'jitter': (JITTER, 0.85),
}
# Width of the Gaussian, as in the paper on soft-NMS
SOFT_NMS_THRESHOLD = 0.5
# Move keypoints this share less, so that rounding does not decide whether they reach a threshold.
MARGIN = 1e-9
# A lower one is rounded to a score of 0.
LOWEST_OKS = 4e-10


@dataclass(frozen=True)
class LocatedKeypoints:
    """Keypoints of matched pairs, and where each is most similar."""

    d: np.ndarray  # (M,), detections
    g: np.ndarray  # (M,), annotated instances
    codes: np.ndarray  # (M, K), int8
    own: np.ndarray  # (M, K), similarity with the same keypoint of g; NaN where not labelled
    best: np.ndarray  # (M, K), largest similarity; NaN where not labelled
    annotation: np.ndarray  # (M, K), annotated instance where that is; -1 where not labelled
    keypoint: np.ndarray  # (M, K), annotated keypoint which that is; -1 where not labelled


def error_costs(
    data: Instances,
    options: EvaluationOptions,
    pairs: Pairs,
    oks_threshold: float,
    located: LocatedKeypoints,
) -> dict[str, CorrectedPrecision]:
    """Evaluate predictions after each correction; see ``diagnose_keypoints``.

    Args:
        data: Instances as predicted and annotated.
        options: Options of the evaluation, with COCO's thresholds and a single area range.
        pairs: Pairs of these instances with an OKS of at least ``LOWEST_OKS``.
        oks_threshold: OKS threshold below which instances count as not matched.
        located: Keypoints and their errors.
    """
    return {
        name: _precision(corrected, options, match_instances(corrected, options, pairs_then))
        for name, corrected, pairs_then in _corrections(
            data, options, pairs, oks_threshold, located
        )
    }


def _corrections(
    data: Instances,
    options: EvaluationOptions,
    pairs: Pairs,
    oks_threshold: float,
    located: LocatedKeypoints,
) -> Iterator[tuple[str, Instances, Pairs]]:
    """Yield the names of corrections, and instances and pairs after each."""
    yield 'predicted', data, pairs

    # Changed in place, as nobody looks back at the detections of an earlier step.
    keypoints = data.detections.keypoints.astype(np.float64)
    for name, (code, target) in CORRECTED_SIMILARITY.items():
        pair, k = np.nonzero(located.codes == code)
        d, g = located.d[pair], located.g[pair]
        similarity = located.best[pair, k] if target is None else np.full(len(pair), target)
        area = data.gt.area[g] + EPSILON
        distance = np.sqrt(-2 * np.log(similarity) * area * variances(options.sigmas)[k])
        row = data.detections.row[d]
        keypoints[row, k, :2] = data.gt.keypoints[g, k, :2]
        keypoints[row, k, 0] += distance * (1 - MARGIN)
        changed = np.zeros(len(data.detections.row), bool)
        changed[d] = True
        data = replace(data, detections=data.detections.with_keypoints(keypoints, changed))
        pairs = _with_changed(pairs, data, options, min(oks_threshold, LOWEST_OKS), changed)
        yield name, data, pairs

    detections, place = data.detections.with_scores(_best_scores(data, options, pairs))
    data, pairs = replace(data, detections=detections), (place[pairs[0]], *pairs[1:])
    yield 'score', data, pairs

    # What is matched at any threshold stays: at a higher one, it may take the place of another.
    thresholds = np.unique([oks_threshold, *options.thresholds])
    matching = match_instances(data, replace(options, thresholds=thresholds), pairs)
    is_match = matching.matches.unpack(matching.matches.is_match).any(axis=(0, 1))
    d, g = (ends[is_match] for ends in matching.matches.pairs)
    keep, keep_gt = matching.dt_outside[0].copy(), matching.gt_ignored[:, 0].copy()
    keep[d] = keep_gt[g] = True
    data = replace(data, detections=data.detections.take(keep))
    pairs = _renumbered(pairs, 0, keep)
    yield 'background', data, pairs

    yield 'missed', replace(data, gt=data.gt.take(keep_gt)), _renumbered(pairs, 1, keep_gt)


def _with_changed(
    pairs: Pairs,
    data: Instances,
    options: EvaluationOptions,
    lowest: float,
    changed: np.ndarray,
) -> Pairs:
    """Compute pairs anew of those detections where a mask (D,) is true."""
    d, g, oks = similar_pairs(data.gt, data.detections.take(changed), lowest, options.sigmas)
    stay = ~changed[pairs[0]]
    new = np.flatnonzero(changed)[d], g, oks
    first, second, third = (np.concatenate([old[stay], n]) for old, n in zip(pairs, new))
    return first, second, third


def _renumbered(pairs: Pairs, end: int, keep: np.ndarray) -> Pairs:
    """Keep the pairs whose detection (end 0) or annotated instance (1) a mask keeps."""
    d, g, oks = (each[keep[pairs[end]]] for each in pairs)
    number = np.cumsum(keep) - 1
    return (number[d], g, oks) if end == 0 else (d, number[g], oks)


def _best_scores(data: Instances, options: EvaluationOptions, pairs: Pairs) -> np.ndarray:
    """Return the best OKS (D,) with any instance that counts, decayed by soft-NMS."""
    detections = data.detections
    d, g, oks = pairs
    counts = ~data.gt.ignore[g]
    scores = np.zeros(len(detections.row))
    np.maximum.at(scores, d[counts], oks[counts])
    some = np.flatnonzero(scores >= LOWEST_OKS)  # the others decay none that is above them
    some = some[np.argsort(detections.row[some])]  # of equals, the first prediction is chosen
    scores[some] = soft_nms_scores(
        detections.keypoints[detections.row[some], :, :2],
        scores[some],
        detections.area[some],
        SOFT_NMS_THRESHOLD,
        options.sigmas,
        images=detections.group[some],
    )
    return scores.round(SCORE_DECIMALS)


def _precision(
    data: Instances, options: EvaluationOptions, matching: Matching
) -> CorrectedPrecision:
    precision = accumulate(data, options, matching).precision[..., 0, 0]  # (T, R, C)
    thresholds = [int(np.argmin(np.abs(OKS_THRESHOLDS - t))) for t in CURVE_THRESHOLDS]
    curves = precision[thresholds]
    auc50, auc75, auc85 = (mean_or_minus_one(curve[curve > -1]) for curve in curves)
    annotated = curves[:, :, (precision > -1).all(axis=(0, 1))]
    mean = annotated.mean(axis=2) if annotated.size else np.full(curves.shape[:2], -1.0)
    ap = mean_or_minus_one(precision[precision > -1])
    return CorrectedPrecision(ap, auc50, auc75, auc85, mean)
