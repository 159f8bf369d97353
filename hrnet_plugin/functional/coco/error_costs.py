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
from .matching import similar_pairs
from .nms import soft_nms_scores
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
# Scores are rounded to so many decimals, so that rounding errors do not order equal ones.
SCORE_DECIMALS = 9


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
    predicted: Matching,
    at_threshold: EvaluationOptions,
    located: LocatedKeypoints,
) -> dict[str, CorrectedPrecision]:
    """Evaluate predictions after each correction; see ``diagnose_keypoints``.

    Args:
        data: Instances as predicted and annotated.
        options: Options of the evaluation, with COCO's thresholds and a single area range.
        predicted: Matching of these.
        at_threshold: The same with the threshold at which errors are diagnosed.
        located: Keypoints and their errors.
    """
    costs = {'predicted': _precision(data, options, predicted)}
    for name, corrected in _corrections(data, options, at_threshold, located):
        costs[name] = _precision(corrected, options, match_instances(corrected, options))
    return costs


def _corrections(
    data: Instances,
    options: EvaluationOptions,
    at_threshold: EvaluationOptions,
    located: LocatedKeypoints,
) -> Iterator[tuple[str, Instances]]:
    """Yield the names of corrections, and instances after each."""
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
        data = replace(data, detections=data.detections.with_keypoints(keypoints.copy()))
        yield name, data

    data = replace(data, detections=data.detections.with_scores(_best_scores(data, options)))
    yield 'score', data

    matching = match_instances(data, at_threshold)
    d, g = (ends[matching.matched_pairs] for ends in matching.matches.pairs)
    is_matched, is_annotated = np.zeros(len(data.detections.row), bool), matching.gt_ignored[:, 0]
    is_matched[d] = is_annotated[g] = True
    data = replace(data, detections=data.detections.take(is_matched | matching.dt_outside[0]))
    yield 'background', data
    yield 'missed', replace(data, gt=data.gt.take(is_annotated))


def _best_scores(data: Instances, options: EvaluationOptions) -> np.ndarray:
    """Return the best OKS (D,) with any instance that counts, decayed by soft-NMS."""
    gt, detections = data.gt.take(~data.gt.ignore), data.detections
    d, _, oks = similar_pairs(gt, detections, 0, options.sigmas)
    scores = np.zeros(len(detections.row))
    np.maximum.at(scores, d, oks)
    return soft_nms_scores(
        detections.keypoints[detections.row, :, :2],
        scores,
        detections.area,
        SOFT_NMS_THRESHOLD,
        options.sigmas,
        images=detections.group,
    ).round(SCORE_DECIMALS)


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
