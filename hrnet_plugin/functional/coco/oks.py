"""Object keypoint similarity (OKS).

    OKS = mean over labelled keypoints i of exp(-d_i^2 / (2 s^2 k_i^2)),   k_i = 2 sigma_i,

where d_i is the distance between prediction and annotation, s^2 the instance's area and sigma_i
the disagreement of annotators about keypoint i (https://cocodataset.org/#keypoints-eval).

Letters for axes: D detections, G annotated instances, N pairs of both, K keypoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .numeric import blocks, stable_argsort

COCO_SIGMAS: tuple[float, ...] = (
    0.026,  # nose
    *(0.025, 0.025),  # eyes
    *(0.035, 0.035),  # ears
    *(0.079, 0.079),  # shoulders
    *(0.072, 0.072),  # elbows
    *(0.062, 0.062),  # wrists
    *(0.107, 0.107),  # hips
    *(0.087, 0.087),  # knees
    *(0.089, 0.089),  # ankles
)
"""Sigmas of COCO's 17 keypoints: the default where a dataset's metainfo gives none."""

# COCO divides by area + EPSILON, so that an area of 0 gives an OKS of 0 or 1 and not NaN.
EPSILON = np.spacing(1.0)


def oks(
    pred: np.ndarray,
    gt: np.ndarray,
    visible: np.ndarray,
    area: np.ndarray,
    sigmas: Sequence[float] | np.ndarray,
    bbox: np.ndarray | None = None,
) -> np.ndarray:
    """Compute the OKS of every prediction with every annotated instance.

    Equal to the last bit to ``COCOeval.computeOks`` of pycocotools
    (https://cocodataset.org/#keypoints-eval, section 1.2).

    Args:
        pred: Predicted keypoints (D, K, 2), in image pixels.
        gt: Annotated keypoints (G, K, 2), in image pixels.
        visible: Visibility (G, K); a keypoint is labelled, and counts, where it is above 0.
        area: Areas (G,) of the annotated instances, in square pixels.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area.
        bbox: Boxes (G, 4) of the annotated instances as x, y, width and height. An instance
            without a labelled keypoint is compared by the distance of the predicted keypoints
            from a box three times as wide and high; without ``bbox``, its OKS is 0.

    Returns:
        OKS (D, G), float64 from 0 to 1.

    Raises:
        ValueError: The shapes do not fit together.

    Example:
        A keypoint that is off by ``2 sigma sqrt(area)``, here 10 pixels, counts ``exp(-1/2)``:

        >>> gt = np.array([[[10.0, 10.0], [50.0, 80.0]]])
        >>> pred = gt + [[0, 0], [10, 0]]
        >>> oks(pred, gt, np.ones((1, 2)), area=np.array([2500.0]), sigmas=[0.1, 0.1]).round(3)
        array([[0.803]])
    """
    pred, gt = np.asarray(pred, np.float64), np.asarray(gt, np.float64)
    visible, area = np.asarray(visible), np.asarray(area, np.float64)
    bbox = None if bbox is None else np.asarray(bbox, np.float64)
    check_keypoint_count('pred', pred, sigmas)
    check_keypoint_count('gt', gt, sigmas)
    count = len(gt)
    expected = {'visible': (count, len(sigmas)), 'area': (count,), 'bbox': (count, 4)}
    for name, value in dict(visible=visible, area=area, bbox=bbox).items():
        if value is not None and value.shape != expected[name]:
            raise ValueError(f'{name} has shape {value.shape}; expected {expected[name]}')
    d, g = np.divmod(np.arange(len(pred) * count), max(1, count))
    return oks_of_pairs(pred, gt, visible, area, sigmas, bbox, d, g).reshape(len(pred), count)


def oks_of_pairs(
    pred: np.ndarray,
    gt: np.ndarray,
    visible: np.ndarray,
    area: np.ndarray,
    sigmas: Sequence[float] | np.ndarray,
    bbox: np.ndarray | None,
    d: np.ndarray,
    g: np.ndarray,
) -> np.ndarray:
    """Compute the OKS of listed pairs, equal to the last bit to that of pycocotools.

    The last bit of a sum depends on the order of its terms. So instances with equally many
    labelled keypoints are treated together, and only labelled keypoints are summed.

    Args:
        pred: Predicted keypoints (D, K, 2) or (D, K, 3), of which the third number is not read.
        gt: Annotated keypoints (G, K, 2) or (G, K, 3).
        visible: Visibility (G, K).
        area: Areas (G,).
        sigmas: Standard deviations (K,).
        bbox: Boxes (G, 4), see :func:`oks`.
        d: Indices (N,) of predictions.
        g: Indices (N,) of the annotated instances that they are compared with.

    Returns:
        OKS (N,), float64.
    """
    labelled = _LabelledKeypoints.of(gt, visible, area, sigmas)
    place = labelled.place[g]
    order = stable_argsort(place, len(labelled.place))
    place, d = place[order], d[order]
    similarity = np.zeros(len(order))
    for count, start, end in labelled.spans:
        pairs = slice(*np.searchsorted(place, (start, end)))
        if pairs.start < pairs.stop and count:
            similarity[pairs] = labelled.oks(count, start, pred, d[pairs], place[pairs])
        elif pairs.start < pairs.stop and bbox is not None:
            instances = labelled.by_count[place[pairs]]
            similarity[pairs] = _unlabelled_oks(
                pred, bbox, area + EPSILON, labelled.variances, d[pairs], instances
            )
    result = np.empty_like(similarity)
    result[order] = similarity
    return result


@dataclass(frozen=True)
class _LabelledKeypoints:
    """Labelled keypoints of annotated instances, which are sorted by how many they have."""

    by_count: np.ndarray  # (G,), indices of the instances in this order
    place: np.ndarray  # (G,), place of each instance in this order
    scale: np.ndarray  # (G,), areas in this order
    variances: np.ndarray  # (K,)
    spans: list[tuple[int, int, int]]  # number of labelled keypoints, first and last place + 1
    starts: np.ndarray  # (G,), index of an instance's first keypoint in the following arrays
    keypoint: np.ndarray  # (labelled keypoints of all,), from 0 to K - 1
    x: np.ndarray
    y: np.ndarray

    @classmethod
    def of(
        cls,
        gt: np.ndarray,
        visible: np.ndarray,
        area: np.ndarray,
        sigmas: Sequence[float] | np.ndarray,
    ) -> '_LabelledKeypoints':
        instances, keypoints, step = gt.shape
        labelled = visible > 0
        counts = labelled.sum(axis=1)
        by_count = stable_argsort(counts, keypoints + 1)
        place = np.empty(instances, np.intp)
        place[by_count] = np.arange(instances)
        instance, keypoint = np.divmod(np.flatnonzero(labelled[by_count]), keypoints)
        at = (by_count[instance] * keypoints + keypoint) * step
        numbers = np.ascontiguousarray(gt).reshape(-1)
        counts = counts[by_count]
        ends = np.searchsorted(counts, np.arange(keypoints + 1), side='right').tolist()
        return cls(
            by_count,
            place,
            area[by_count] + EPSILON,
            variances(sigmas).astype(np.float64),
            list(zip(range(keypoints + 1), [0, *ends], ends)),
            np.cumsum(counts) - counts,
            keypoint,
            numbers.take(at),
            numbers.take(at + 1),
        )

    def oks(
        self, count: int, start: int, pred: np.ndarray, d: np.ndarray, place: np.ndarray
    ) -> np.ndarray:
        """Compute the OKS (N,) with instances of ``count`` labelled keypoints.

        Args:
            count: Number of labelled keypoints.
            start: Place of the first instance that has as many.
            pred: Predicted keypoints (D, K, 2 or 3).
            d: Indices (N,) of predictions.
            place: Places (N,) of the instances that they are compared with, ascending.
        """
        _, keypoints, step = pred.shape
        width = keypoints * step
        rows = pred.reshape(-1, width)

        def by_instance(values: np.ndarray) -> np.ndarray:
            length = count * (place[-1] - start + 1)
            return values[self.starts[start] :][:length].reshape(-1, count)

        x, y, keypoint = (by_instance(values) for values in (self.x, self.y, self.keypoint))
        spread, columns = self.variances[keypoint], keypoint * step
        similarity = np.empty(len(d))
        with np.errstate(over='ignore', under='ignore'):  # an infinite distance is an OKS of 0
            for block in blocks(len(d), width):
                row = place[block] - start
                points = rows.take(d[block], axis=0).astype(np.float64, copy=False)
                at = columns.take(row, axis=0)
                at += np.arange(0, points.size, width)[:, None]
                exponent = points.take(at)
                at += 1
                dy = points.take(at)
                exponent -= x.take(row, axis=0)
                dy -= y.take(row, axis=0)
                exponent *= exponent
                dy *= dy
                exponent += dy
                exponent /= spread.take(row, axis=0)
                exponent /= self.scale[place[block], None]
                exponent *= -0.5
                similarity[block] = np.exp(exponent, out=exponent).sum(axis=1)
        return similarity / count


def _unlabelled_oks(
    pred: np.ndarray,
    bbox: np.ndarray,
    scale: np.ndarray,
    spread: np.ndarray,
    d: np.ndarray,
    g: np.ndarray,
) -> np.ndarray:
    """Compute the OKS (N,) with instances of which only the box is known: see :func:`oks`."""
    low, high = bbox[:, None, :2] - bbox[:, None, 2:], bbox[:, None, :2] + bbox[:, None, 2:] * 2
    similarity = np.empty(len(d))
    with np.errstate(over='ignore', under='ignore'):
        for block in blocks(len(d), pred[0].size):
            instance = g[block]
            points = pred.take(d[block], axis=0)[..., :2].astype(np.float64, copy=False)
            outside = np.maximum(0, low[instance] - points)
            outside += np.maximum(0, points - high[instance])
            outside *= outside
            exponent = (outside[..., 0] + outside[..., 1]) / spread / scale[instance, None] / 2
            similarity[block] = np.exp(-exponent).sum(axis=1)
    return similarity / len(spread)


def keypoint_similarity(
    pred: np.ndarray,
    gt: np.ndarray,
    area: np.ndarray,
    sigmas: Sequence[float] | np.ndarray,
) -> np.ndarray:
    """Compute the term ``exp(-d^2 / (2 s^2 k^2))`` of each keypoint in the OKS of pairs.

    https://cocodataset.org/#keypoints-eval, section 1.2.

    Args:
        pred: Predicted keypoints (N, K, 2), in image pixels.
        gt: Annotated keypoints (N, K, 2) of the instance that each prediction is compared with.
        area: Areas (N,) of these instances, in square pixels.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area.

    Returns:
        Similarities (N, K), float64 from 0 to 1; their mean over labelled keypoints is the OKS.

    Raises:
        ValueError: The shapes do not broadcast together.

    Example:
        >>> gt = np.array([[[10.0, 10.0], [50.0, 80.0]]])
        >>> pred = gt + [[0, 0], [10, 0]]
        >>> keypoint_similarity(pred, gt, np.array([2500.0]), sigmas=[0.1, 0.1]).round(3)
        array([[1.   , 0.607]])
    """
    distance2 = np.square(np.asarray(pred, np.float64) - gt).sum(axis=-1)
    return np.exp(-distance2 / variances(sigmas) / (np.asarray(area)[:, None] + EPSILON) / 2)


def estimate_sigmas(
    keypoints: np.ndarray, area: np.ndarray, visible: np.ndarray | None = None
) -> np.ndarray:
    """Estimate the sigmas of a skeleton from instances that several annotators have labelled.

        sigma_i^2 = mean over instances of s_i^2 / area,

    with s_i^2 the squared distance of the annotators' points from their mean, summed and divided
    by one less than their number: as COCO's sigmas were found on 5,000 images annotated twice
    (https://cocodataset.org/#keypoints-eval, section 1.2).

    Args:
        keypoints: Keypoints (R, N, K, 2) of N instances by R annotators, in image pixels.
        area: Areas (N,) of the instances, in square pixels.
        visible: Visibility (R, N, K), above 0 where that annotator labelled that keypoint. By
            default, all are labelled.

    Returns:
        Sigmas (K,), float64.

    Raises:
        ValueError: The shapes do not fit together, an area is not above 0, or some keypoint is
            labelled by two annotators in no instance.

    Example:
        Two annotators who place a keypoint 10 pixels apart:

        >>> keypoints = np.array([[[[100.0, 50.0]]], [[[110.0, 50.0]]]])
        >>> estimate_sigmas(keypoints, area=np.array([10_000.0])).round(4)
        array([0.0707])
    """
    keypoints, area = np.asarray(keypoints, np.float64), np.asarray(area, np.float64)
    if keypoints.ndim != 4 or keypoints.shape[-1] != 2 or area.shape != keypoints.shape[1:2]:
        raise ValueError(
            f'keypoints have shape {keypoints.shape} and areas {area.shape}; expected '
            '(R, N, K, 2) and (N,)'
        )
    if not (area > 0).all():
        raise ValueError(
            f'the area of instance {np.argmin(area > 0)} is {area[np.argmin(area > 0)]}; '
            'expected a number above 0'
        )
    labelled = np.ones(keypoints.shape[:3], bool) if visible is None else np.asarray(visible) > 0
    if labelled.shape != keypoints.shape[:3]:
        raise ValueError(
            f'visible has shape {labelled.shape}; expected {keypoints.shape[:3]}, as of keypoints'
        )
    count = labelled.sum(axis=0)  # (N, K)
    points = np.where(labelled[..., None], keypoints, 0)  # unlabelled coordinates may be NaN
    delta = points - points.sum(axis=0) / np.maximum(1, count)[..., None]
    squares = np.where(labelled, np.square(delta).sum(axis=-1), 0).sum(axis=0)
    repeated = count > 1
    if not repeated.any(axis=0).all():
        raise ValueError(
            f'keypoint {np.argmin(repeated.any(axis=0))} is labelled by two annotators in no '
            'instance; their disagreement needs at least two'
        )
    share = np.where(repeated, squares / np.maximum(1, count - 1) / area[:, None], 0)
    return np.sqrt(share.sum(axis=0) / repeated.sum(axis=0))


def variances(sigmas: Sequence[float] | np.ndarray) -> np.ndarray:
    """Compute k_i^2 = (2 sigma_i)^2, in the precision of the sigmas."""
    return np.square(2 * np.asarray(sigmas))


def check_keypoint_count(
    name: str, keypoints: np.ndarray, sigmas: Sequence[float] | np.ndarray
) -> None:
    """Raise a ValueError unless ``keypoints`` are (N, K, 2) with one sigma for each of the K."""
    if keypoints.ndim != 3 or keypoints.shape[-1] != 2:
        raise ValueError(f'{name} has shape {keypoints.shape}; expected (N, K, 2)')
    if keypoints.shape[1] != len(sigmas):
        raise ValueError(
            f'{name} has {keypoints.shape[1]} keypoints per instance, but there are '
            f'{len(sigmas)} sigmas; give the sigmas of the same skeleton'
        )
