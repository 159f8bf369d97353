"""Diagnose the errors of predicted keypoints, after Ronchi and Perona.

"Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation",
https://arxiv.org/abs/1707.05388

Letters for axes: D detections, G annotated instances, K keypoints, M matched pairs of both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from .accumulate import (
    AREA_RANGES,
    OKS_THRESHOLDS,
    EvaluationOptions,
    Instances,
    Matching,
    match_instances,
    read_instances,
)
from .diagnosis_result import (
    GOOD,
    INVERSION,
    JITTER,
    MISS,
    NO_CODE,
    SWAP,
    KeypointDiagnosis,
)
from .error_costs import LOWEST_OKS, LocatedKeypoints, error_costs
from .instances import AREA_PER_BOX
from .matching import similar_pairs
from .nms import HIGHEST_AREA
from .numeric import BLOCK, spans
from .oks import keypoint_similarity
from .schema import quote

COCO_FLIP_PAIRS = tuple((k, k + 1) for k in range(1, 17, 2))
"""Pairs of left and right among COCO's 17 keypoints."""

# Similarities that divide a miss, jitter and a good keypoint (paper, section 3.1)
MISS_BELOW, GOOD_ABOVE = 0.5, 0.85
ROUNDING = 1e-12  # of similarities, by which no place is more similar than another


def diagnose_keypoints(
    gt: Any,
    dt: Any,
    *,
    sigmas: Sequence[float] | np.ndarray | None = None,
    flip_pairs: Sequence[Any] | np.ndarray | None = None,
    use_area: bool = True,
    max_dets: int = 20,
    oks_threshold: float = 0.1,
) -> KeypointDiagnosis:
    """Tell for each predicted keypoint what is wrong with it, and what each error costs.

    Predictions are matched to annotations as COCO's evaluation does, at a low OKS threshold. Each
    keypoint k that is labelled in the matched annotation is compared with keypoint k, and with
    its mirror partner, of every instance of the same image and category, by the similarity
    ``exp(-d^2 / (2 area (2 sigma_k)^2))`` with the area of that instance and the sigma of k, also
    for the partner. Where the largest similarity is decides (Ronchi and Perona,
    https://arxiv.org/abs/1707.05388, section 3.1):

    ========= ====================================================================
    good      above 0.85, at the right keypoint of the matched annotation
    jitter    at least 0.5 and below 0.85, there
    inversion at least 0.5, at the mirror partner in the matched annotation
    swap      at least 0.5, at the keypoint or its mirror partner in another instance
    miss      below 0.5
    ========= ====================================================================

    Of equals, rounding apart, the first counts: the matched annotation, others in the order of
    ``gt``, the mirror partner in the matched annotation, mirror partners in others. Others include
    crowds and annotations that are otherwise ignored, where their keypoints are labelled;
    predictions that are matched to these are not diagnosed, as they are neither right nor wrong.

    ``costs`` evaluates corrected predictions. Each step keeps the corrections of those before it:

    ``miss``, ``swap``, ``inversion``, ``jitter``
        Keypoints with this error move to where they are annotated, and from there along x until
        their similarity is 0.5 (miss), the largest that was found (swap, inversion), or 0.85
        (jitter). The code of the authors moves them half as far. Areas of predictions stay.
    ``score``
        Scores become the best OKS with any annotation that counts, decayed by soft-NMS with OKS
        for the overlap and a Gaussian of 0.5. Which predictions count stays as it was.
    ``background``
        Predictions are removed that are now matched to nothing at ``oks_threshold`` or any
        threshold of AP, which never lowers it. These may be others than those of ``background``
        before the corrections.
    ``missed``
        Annotations are removed that nothing is matched to then.

    Args:
        gt: Annotations, in any form that ``evaluate_coco_keypoints`` takes.
        dt: Predictions, in any form that ``evaluate_coco_keypoints`` takes.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area;
            COCO's 17 by default.
        flip_pairs: Keypoints that are each other's mirror partners: pairs (P, 2) of indices, or
            the partner (K,) of each, as ``flip_indices`` of MMPose's metainfo. COCO's by default
            if ``sigmas`` are; otherwise no inversions are looked for by default.
        use_area: Whether to take the annotated areas, or 0.53 of the annotated boxes.
        max_dets: Number of predictions that count in each image, best scores first.
        oks_threshold: OKS, from 0 to 1, from which on a prediction is matched.

    Returns:
        :class:`~hrnet_plugin.functional.KeypointDiagnosis`.

    Raises:
        OSError: A file cannot be read.
        ValueError: An option is out of range, or as ``evaluate_coco_keypoints`` raises it.

    Example:
        The second keypoint, of a left and a right wrist, is where the first is:

        >>> person = dict(image_id=1, category_id=1, keypoints=[10, 20, 2, 50, 90, 2])
        >>> annotation = dict(person, bbox=[0, 10, 60, 90], area=4000)
        >>> gt = dict(images=[dict(id=1)], categories=[dict(id=1)], annotations=[annotation])
        >>> dt = [dict(person, keypoints=[10, 20, 1, 10, 20, 1], score=0.9)]
        >>> result = diagnose_keypoints(gt, dt, sigmas=[0.1, 0.1], flip_pairs=[(0, 1)])
        >>> result.codes.tolist(), result.best_keypoint.tolist()
        ([[0, 2]], [[0, 0]])
        >>> [round(step.ap, 2) for step in result.costs.values()]
        [0.1, 0.1, 0.1, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    if not 0 <= oks_threshold <= 1:
        raise ValueError(f'oks_threshold must be from 0 to 1, not {oks_threshold}')
    options = EvaluationOptions.of(sigmas, max_dets, None, dict(all=AREA_RANGES['all']))
    if flip_pairs is None and sigmas is None:
        flip_pairs = COCO_FLIP_PAIRS
    partner = mirror_partners(flip_pairs, len(options.sigmas))
    data = read_instances(gt, dt, options, use_area)
    at_threshold = replace(options, thresholds=np.array([oks_threshold], np.float64))
    lowest = min(oks_threshold, LOWEST_OKS)
    pairs = similar_pairs(data.gt, data.detections, lowest, options.sigmas)
    matching = match_instances(data, at_threshold, pairs)
    d, g = (ends[matching.matched_pairs] for ends in matching.matches.pairs)
    oks = matching.matches.oks[matching.matched_pairs]
    ignored = matching.gt_ignored[:, 0]
    counts = ~ignored[g]
    located = _locate(data, options.sigmas, partner, d[counts], g[counts])

    num_given = data.annotations.num_given
    num_given = len(data.annotations.rows) if num_given is None else num_given
    num_predictions, num_keypoints = data.detections.keypoints.shape[:2]
    rows, gt_rows = data.detections.row, data.annotations.rows[data.gt.row]
    of_pair, shape = rows[d[counts]], (num_predictions, num_keypoints)

    def by_keypoint(values: np.ndarray, default: float) -> np.ndarray:
        return _scatter(shape, default, of_pair, values)

    codes = by_keypoint(located.codes, NO_CODE)
    unmatched = ~matching.dt_outside[0]
    unmatched[d] = False
    missed = ~ignored
    missed[g] = False
    recalled = np.zeros(len(ignored), bool)
    predicted = match_instances(data, options, pairs)
    recalled[predicted.matches.pairs[1][predicted.good_pairs]] = True
    cost = _scatter((num_predictions,), 0.0, rows, unmatched.astype(float))
    cost[of_pair] = _cost_of_instances(located)
    place = np.where(located.annotation < 0, -1, gt_rows[located.annotation])
    return KeypointDiagnosis(
        codes=codes,
        matched=_scatter((num_predictions,), -1, rows[d], gt_rows[g]),
        similarity=by_keypoint(located.own, np.nan),
        best_similarity=by_keypoint(located.best, np.nan),
        best_annotation=by_keypoint(place, -1),
        best_keypoint=by_keypoint(located.keypoint, -1),
        oks=_scatter((num_predictions,), np.nan, rows[d], oks),
        counts=np.stack([np.sum(codes == code, axis=0) for code in range(5)], axis=1),
        counted=_scatter((num_predictions,), False, rows, True),
        background=_scatter((num_predictions,), False, rows, unmatched),
        cost_of_instance=cost,
        evaluated=_scatter((num_given,), False, gt_rows, ~ignored),
        missed=_scatter((num_given,), False, gt_rows, missed),
        recalled=_scatter((num_given,), False, gt_rows, recalled),
        area=_scatter((num_given,), np.nan, gt_rows, data.gt.area),
        costs=error_costs(data, options, pairs, oks_threshold, located),
        notes=tuple(_notes(data, matching, partner, use_area, np.sum(~counts))),
    )


def mirror_partners(flip_pairs: Any, num_keypoints: int) -> np.ndarray:
    """Return the mirror partner (K,) of each keypoint; itself where it has none.

    Args:
        flip_pairs: Pairs (P, 2) of indices, the partner (K,) of each, or None.
        num_keypoints: K.

    Raises:
        ValueError: An index is out of range, or pairs are not mutual.
    """
    partner = np.arange(num_keypoints)
    if flip_pairs is None:
        return partner
    given = np.asarray(flip_pairs)
    expected = (
        f'expected pairs (P, 2) of keypoints from 0 to {num_keypoints - 1}, or the partner '
        f'({num_keypoints},) of each'
    )
    if not given.size:
        return partner
    is_list = given.shape == (num_keypoints,)
    if not (is_list or (given.ndim == 2 and given.shape[1] == 2)):
        raise ValueError(f'flip_pairs have shape {given.shape}; {expected}')
    if given.dtype.kind not in 'iu' or given.min() < 0 or given.max() >= num_keypoints:
        raise ValueError(f'flip_pairs are {quote(given.tolist())}; {expected}')
    if is_list:
        partner = given.astype(np.intp)
    else:
        first, second = given.T
        partner[first], partner[second] = second, first
        again = np.concatenate([first, second])
        again = again[np.concatenate([partner[first] != second, partner[second] != first])]
        if len(again):
            raise ValueError(f'flip_pairs have keypoint {again[0]} in several pairs')
    if (wrong := np.flatnonzero(partner[partner] != np.arange(num_keypoints))).size:
        k = wrong[0]
        raise ValueError(
            f'flip_pairs: the partner of keypoint {k} is {partner[k]}, whose partner is '
            f'{partner[partner[k]]}; pairs must be mutual'
        )
    return partner


def _scatter(shape: tuple[int, ...], default: Any, rows: np.ndarray, values: Any) -> np.ndarray:
    """Return an array of a shape that has these values in these rows, a default elsewhere."""
    result = np.full(shape, default, np.asarray(values).dtype)
    result[rows] = values
    return result


def _locate(
    data: Instances, sigmas: np.ndarray, partner: np.ndarray, d: np.ndarray, g: np.ndarray
) -> LocatedKeypoints:
    """Find where each keypoint of matched pairs is most similar, and the error that this means.

    Args:
        data: Instances.
        sigmas: Standard deviations (K,) of the keypoints.
        partner: Mirror partner (K,) of each keypoint.
        d: Detections (M,).
        g: Annotated instances (M,) that they are matched to.
    """
    shape = len(d), len(sigmas)
    labelled = data.gt.visible[g] > 0
    own, best = np.empty((2, *shape))
    annotation, keypoint = np.empty((2, *shape), np.intp)
    first = np.searchsorted(data.gt.group, data.gt.group[g])
    count = np.searchsorted(data.gt.group, data.gt.group[g], side='right') - first
    for block in _blocks_of_pairs(count * len(sigmas)):
        starts = np.cumsum(count[block]) - count[block]
        pair = np.repeat(np.arange(len(starts)), count[block])
        # All instances of each group, the matched one first
        others = spans(first[block], count[block])
        turn = np.arange(len(others)) - starts[pair]
        others -= (others <= g[block][pair]) & (turn > 0)
        others[starts] = g[block]
        points = data.detections.keypoints[data.detections.row[d[block]], :, :2][pair]
        same, mirrored = (
            _first_maximum(_similarity(data, points, others, sigmas, columns), starts, pair)
            for columns in (np.arange(len(sigmas)), partner)
        )
        own[block] = _similarity(data, points[starts], g[block], sigmas, np.arange(len(sigmas)))
        is_mirrored = mirrored[0] > same[0] + ROUNDING
        best[block] = np.maximum(mirrored[0], same[0])
        annotation[block] = others[np.where(is_mirrored, mirrored[1], same[1])]
        keypoint[block] = np.where(is_mirrored, partner, np.arange(len(sigmas)))
    is_matched, is_same = annotation == g[:, None], keypoint == np.arange(len(sigmas))
    codes = np.full(shape, SWAP, np.int8)
    codes[is_matched & ~is_same] = INVERSION
    right = is_matched & is_same
    codes[right] = np.select(
        [best[right] > GOOD_ABOVE, best[right] < GOOD_ABOVE], [GOOD, JITTER], NO_CODE
    )
    codes[best < MISS_BELOW] = MISS
    codes[~labelled] = NO_CODE
    return LocatedKeypoints(
        d,
        g,
        codes,
        own=np.where(labelled, own, np.nan),
        best=np.where(labelled, best, np.nan),
        annotation=np.where(labelled, annotation, -1),
        keypoint=np.where(labelled, keypoint, -1),
    )


def _blocks_of_pairs(sizes: np.ndarray) -> Iterator[slice]:
    """Split pairs into slices whose sizes (M,) add up to about 8 ``BLOCK``, at least one each."""
    number = np.cumsum(sizes) // (8 * BLOCK)
    bounds = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(sizes)]
    return (slice(start, end) for start, end in pairwise(bounds) if start < end)


def _similarity(
    data: Instances,
    points: np.ndarray,
    g: np.ndarray,
    sigmas: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """Compute similarities (N, K) of keypoints with those of instances, -1 if not labelled.

    Args:
        data: Instances.
        points: Detected keypoints (N, K, 2).
        g: Annotated instances (N,).
        sigmas: Standard deviations (K,) of the detected keypoints.
        columns: Annotated keypoints (K,) that they are compared with.
    """
    annotated = data.gt.keypoints[g][:, columns]
    with np.errstate(over='ignore', under='ignore', invalid='ignore'):  # unlabelled may be NaN
        similarity = keypoint_similarity(
            points, annotated[..., :2], data.gt.area[g].clip(0, HIGHEST_AREA), sigmas
        )
    return np.where(annotated[..., 2] > 0, similarity, -1)


def _first_maximum(
    values: np.ndarray, starts: np.ndarray, segment: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maxima (S, K) of segments of rows (N, K), and the first row that has each.

    Rows that are equal but for rounding are equal.

    Args:
        values: (N, K).
        starts: First row (S,) of each segment.
        segment: Segment (N,) of each row.
    """
    maxima = np.maximum.reduceat(values, starts, axis=0)
    is_maximum = values >= maxima[segment] - ROUNDING
    row = np.where(is_maximum, np.arange(len(values))[:, None], len(values))
    return maxima, np.minimum.reduceat(row, starts, axis=0)


def _cost_of_instances(located: LocatedKeypoints) -> np.ndarray:
    """Compute the share (M,) of OKS thresholds that is missed because of errors."""
    has_error = np.isin(located.codes, (JITTER, INVERSION, SWAP, MISS))
    without = np.where(has_error, 1, located.own)
    reached = [
        np.nanmean(values, axis=1)[:, None] >= OKS_THRESHOLDS - 1e-9
        for values in (located.own, without)
    ]
    return (reached[1] & ~reached[0]).mean(axis=1)


def _notes(
    data: Instances,
    matching: Matching,
    partner: np.ndarray,
    use_area: bool,
    num_ignored: int,
) -> Iterator[str]:
    """Say what the data did not allow, and what was done instead."""
    if (partner == np.arange(len(partner))).all():
        yield 'No keypoint has a mirror partner (flip_pairs): no inversions are looked for.'
    num_predictions = len(data.detections.keypoints)
    if not num_predictions:
        yield 'There are no predictions.'
    elif left_out := num_predictions - len(data.detections.row):
        yield (
            f'{left_out} of {num_predictions} predictions do not count: they are beyond the '
            'highest number for an image, or of categories that the annotations lack.'
        )
    if num_ignored:
        yield (
            f'{num_ignored} predictions are matched to ignored annotations (crowds, or no '
            'labelled keypoints) and not diagnosed.'
        )
    if not use_area:
        yield f'Areas are {AREA_PER_BOX} of the annotated boxes.'
    elif missing := np.sum(np.isnan(data.annotations.area[data.gt.row]) & ~data.gt.ignore):
        yield (
            f'{missing} annotations have no area; {AREA_PER_BOX} of the box area is taken instead.'
        )
