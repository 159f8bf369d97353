"""COCO's keypoint evaluation (https://cocodataset.org/#keypoints-eval) on arrays.

Letters for axes: D detections, G annotated instances, K keypoints, T OKS thresholds, A area
ranges, C categories, R recall steps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .accumulate import (
    AREA_RANGES,
    Accumulated,
    EvaluationOptions,
    Instances,
    Matching,
    accumulate,
    match_instances,
    mean_or_minus_one,
    read_instances,
)
from .oks import keypoint_similarity
from .result import KeypointEvaluation, KeypointMatches


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
    options = EvaluationOptions.of(sigmas, max_dets, oks_thresholds, area_ranges)
    data = read_instances(gt, dt, options, use_area)
    matching = match_instances(data, options)
    table = _match_table(data, matching) if matches else None
    oks = mean_or_minus_one(matching.matches.oks[matching.good_pairs])
    return _summarise(accumulate(data, options, matching), options, oks, table)


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
    options = EvaluationOptions.of(sigmas, max_dets, None, dict(all=AREA_RANGES['all']))
    data = read_instances(gt, dt, options, use_area)
    names = ('AP', 'AP50', 'AP75', 'AR', 'AR50', 'AR75')
    values = []
    for k in range(len(options.sigmas)):
        one, of_one = data.with_keypoint(k), options.with_keypoint(k)
        result = _summarise(accumulate(one, of_one, match_instances(one, of_one)), of_one)
        values.append([result[name] for name in names])
    return {
        **dict(zip(names, np.array(values).reshape(-1, len(names)).T)),
        'OKS': _oks_of_each_keypoint(data, options),
    }


def _summarise(
    accumulated: Accumulated,
    options: EvaluationOptions,
    oks: float = -1.0,
    matches: KeypointMatches | None = None,
) -> KeypointEvaluation:
    precision, recall = accumulated.precision, accumulated.recall
    a = options.all_areas

    def mean(values: np.ndarray) -> float:
        return mean_or_minus_one(values[values > -1])

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


def _oks_of_each_keypoint(data: Instances, options: EvaluationOptions) -> np.ndarray:
    """See ``OKS`` of :func:`evaluate_each_keypoint`."""
    matching = match_instances(data, options)
    d, g = (ends[matching.good_pairs] for ends in matching.matches.pairs)
    gt, detections = data.gt, data.detections
    pred = detections.keypoints[detections.row[d], :, :2]
    similarity = keypoint_similarity(pred, gt.keypoints[g, :, :2], gt.area[g], options.sigmas)
    labelled = gt.visible[g] > 0
    return np.array([mean_or_minus_one(s[v]) for s, v in zip(similarity.T, labelled.T)])


def _match_table(data: Instances, matching: Matching) -> KeypointMatches:
    matches, rows = matching.matches, data.annotations.rows
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
