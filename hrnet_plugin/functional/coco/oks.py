"""Object keypoint similarity (OKS).

    OKS = mean over labelled keypoints i of exp(-d_i^2 / (2 s^2 k_i^2)),   k_i = 2 sigma_i,

where d_i is the distance between prediction and annotation, s^2 the person's area and sigma_i how
far annotators disagree about keypoint i (https://cocodataset.org/#keypoints-eval).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

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
"""COCO's 17 sigmas, for data that comes without any; a data set's metainfo goes before them."""

# COCO divides by area + EPSILON, so that an area of 0 gives an OKS of 0 or 1 and not NaN.
EPSILON = np.spacing(1.0)

# Coordinates that are worked on at once: they and their temporaries fit into a core's cache.
BLOCK = 1 << 15


def oks(
    pred: np.ndarray,
    gt: np.ndarray,
    visible: np.ndarray,
    area: np.ndarray,
    sigmas: Sequence[float] | np.ndarray,
    bbox: np.ndarray | None = None,
) -> np.ndarray:
    """Compare every prediction with every annotated person, as COCO's evaluation does.

    Args:
        pred: (D, K, 2), predicted keypoints in image pixels.
        gt: (G, K, 2), annotated keypoints.
        visible: (G, K); a keypoint is labelled, and counts, where this is above 0.
        area: (G,), in square pixels.
        sigmas: (K,).
        bbox: (G, 4), boxes (x, y, w, h). A person without any labelled keypoint is compared by
            how far the prediction lies outside a box three times as wide and high; without
            ``bbox`` such a person has an OKS of 0 with everything.

    Returns:
        OKS, (D, G), float64 between 0 and 1.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    pred, gt = np.asarray(pred, np.float64), np.asarray(gt, np.float64)
    visible, area = np.asarray(visible), np.asarray(area, np.float64)
    bbox = None if bbox is None else np.asarray(bbox, np.float64)
    check_keypoint_count('pred', pred, sigmas)
    check_keypoint_count('gt', gt, sigmas)
    people = len(gt)
    expected = {'visible': (people, len(sigmas)), 'area': (people,), 'bbox': (people, 4)}
    for name, value in dict(visible=visible, area=area, bbox=bbox).items():
        if value is not None and value.shape != expected[name]:
            raise ValueError(f'{name} has shape {value.shape}; expected {expected[name]}')
    d, g = np.divmod(np.arange(len(pred) * people), max(1, people))
    return oks_of_pairs(pred, gt, visible, area, sigmas, bbox, d, g).reshape(len(pred), people)


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
    """OKS of listed pairs, to the last bit what ``pycocotools`` computes for each by itself.

    A sum's last bit depends on the order of its terms. So people are treated together who have
    equally many labelled keypoints, and only those are summed.

    Args:
        pred: (D, K, 2) or, of which the third number is not read, (D, K, 3).
        gt: (G, K, 2) or (G, K, 3).
        visible: (G, K).
        area: (G,).
        sigmas: (K,).
        bbox: (G, 4), see :func:`oks`.
        d: (N,), which prediction.
        g: (N,), with which person.

    Returns:
        OKS, (N,), float64.
    """
    people = _Labelled.of(gt, visible, area, sigmas)
    person = people.place[g]
    order = stable_argsort(person, len(people.place))
    person, d = person[order], d[order]
    similarity = np.zeros(len(order))
    for count, start, end in people.spans:
        pairs = slice(*np.searchsorted(person, (start, end)))
        if pairs.start < pairs.stop and count:
            similarity[pairs] = people.oks(count, start, pred, d[pairs], person[pairs])
        elif pairs.start < pairs.stop and bbox is not None:
            someone = people.by_count[person[pairs]]
            similarity[pairs] = _unlabelled_oks(
                pred, bbox, area + EPSILON, people.variances, d[pairs], someone
            )
    result = np.empty_like(similarity)
    result[order] = similarity
    return result


@dataclass(frozen=True)
class _Labelled:
    """People sorted by how many keypoints are labelled, and of each only those keypoints."""

    by_count: np.ndarray  # (G,), this order
    place: np.ndarray  # (G,), where each person is in it
    scale: np.ndarray  # (G,), areas in it
    variances: np.ndarray  # (K,)
    spans: list[tuple[int, int, int]]  # number of labelled keypoints; people from, to
    starts: np.ndarray  # (G,), where a person's keypoints begin among the following
    columns: np.ndarray  # (all labelled keypoints,), which of the K
    x: np.ndarray
    y: np.ndarray

    @classmethod
    def of(
        cls,
        gt: np.ndarray,
        visible: np.ndarray,
        area: np.ndarray,
        sigmas: Sequence[float] | np.ndarray,
    ) -> '_Labelled':
        people, keypoints, step = gt.shape
        labelled = visible > 0
        counts = labelled.sum(axis=1)
        by_count = stable_argsort(counts, keypoints + 1)
        place = np.empty(people, np.intp)
        place[by_count] = np.arange(people)
        person, columns = np.divmod(np.flatnonzero(labelled[by_count]), keypoints)
        at = (by_count[person] * keypoints + columns) * step
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
            columns,
            numbers.take(at),
            numbers.take(at + 1),
        )

    def oks(
        self, count: int, start: int, pred: np.ndarray, d: np.ndarray, person: np.ndarray
    ) -> np.ndarray:
        """OKS (N,) with people who have ``count`` labelled keypoints, the first at ``start``."""
        _, keypoints, step = pred.shape
        numbers = keypoints * step
        rows = pred.reshape(-1, numbers)

        def of_people(values: np.ndarray) -> np.ndarray:
            many = count * (person[-1] - start + 1)
            return values[self.starts[start] :][:many].reshape(-1, count)

        x, y, columns = (of_people(values) for values in (self.x, self.y, self.columns))
        spread, columns = self.variances[columns], columns * step
        similarity = np.empty(len(d))
        with np.errstate(over='ignore', under='ignore'):  # infinitely far is an OKS of 0
            for block in blocks(len(d), numbers):
                one = person[block] - start
                points = rows.take(d[block], axis=0).astype(np.float64, copy=False)
                at = columns.take(one, axis=0)
                at += np.arange(0, points.size, numbers)[:, None]
                exponent = points.take(at)
                at += 1
                dy = points.take(at)
                exponent -= x.take(one, axis=0)
                dy -= y.take(one, axis=0)
                exponent *= exponent
                dy *= dy
                exponent += dy
                exponent /= spread.take(one, axis=0)
                exponent /= self.scale[person[block], None]
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
    """OKS (N,) with people of whom only the box is known: see :func:`oks`."""
    low, high = bbox[:, None, :2] - bbox[:, None, 2:], bbox[:, None, :2] + bbox[:, None, 2:] * 2
    similarity = np.empty(len(d))
    with np.errstate(over='ignore', under='ignore'):
        for block in blocks(len(d), pred[0].size):
            person = g[block]
            points = pred.take(d[block], axis=0)[..., :2].astype(np.float64, copy=False)
            outside = np.maximum(0, low[person] - points) + np.maximum(0, points - high[person])
            outside *= outside
            exponent = (outside[..., 0] + outside[..., 1]) / spread / scale[person, None] / 2
            similarity[block] = np.exp(-exponent).sum(axis=1)
    return similarity / len(spread)


def keypoint_similarity(
    pred: np.ndarray,
    gt: np.ndarray,
    area: np.ndarray,
    sigmas: Sequence[float] | np.ndarray,
) -> np.ndarray:
    """What each keypoint of a prediction adds to the OKS: ``exp(-d^2 / (2 s^2 k^2))``.

    Args:
        pred: (N, K, 2).
        gt: (N, K, 2), of the person with whom each prediction is compared.
        area: (N,), of that person, in square pixels.
        sigmas: (K,).

    Returns:
        (N, K), between 0 and 1; the mean over labelled keypoints is the OKS.
    """
    distance2 = np.square(np.asarray(pred, np.float64) - gt).sum(axis=-1)
    return np.exp(-distance2 / variances(sigmas) / (np.asarray(area)[:, None] + EPSILON) / 2)


def estimate_sigmas(
    keypoints: np.ndarray, area: np.ndarray, visible: np.ndarray | None = None
) -> np.ndarray:
    """Sigmas of a skeleton, from people whom several annotators have labelled.

        sigma_i^2 = mean over people of s_i^2 / area,

    with s_i^2 the squared distance of the annotators' points from their mean, summed and divided
    by one less than their number: as COCO's sigmas were found on 5,000 images annotated twice
    (https://cocodataset.org/#keypoints-eval, section 1.2).

    Args:
        keypoints: (R, N, K, 2), by R annotators of N people; in image pixels.
        area: (N,), in square pixels.
        visible: (R, N, K), above 0 where that annotator labelled that keypoint; everywhere if not
            given.

    Returns:
        (K,).

    Raises:
        ValueError: if the shapes do not fit together, an area is not above 0, or nobody has some
            keypoint labelled twice.
    """
    keypoints, area = np.asarray(keypoints, np.float64), np.asarray(area, np.float64)
    if keypoints.ndim != 4 or keypoints.shape[-1] != 2 or area.shape != keypoints.shape[1:2]:
        raise ValueError(
            f'keypoints have shape {keypoints.shape} and areas {area.shape}; expected '
            '(R, N, K, 2) and (N,)'
        )
    if not (area > 0).all():
        raise ValueError(f'the area of person {np.argmin(area > 0)} is not above 0')
    labelled = np.ones(keypoints.shape[:3], bool) if visible is None else np.asarray(visible) > 0
    if labelled.shape != keypoints.shape[:3]:
        raise ValueError(
            f'visible has shape {labelled.shape}; expected {keypoints.shape[:3]}, as of keypoints'
        )
    count = labelled.sum(axis=0)  # (N, K)
    points = np.where(labelled[..., None], keypoints, 0)  # what is not labelled may be NaN
    delta = points - points.sum(axis=0) / np.maximum(1, count)[..., None]
    squares = np.where(labelled, np.square(delta).sum(axis=-1), 0).sum(axis=0)
    repeated = count > 1
    if not repeated.any(axis=0).all():
        raise ValueError(
            f'nobody has keypoint {np.argmin(repeated.any(axis=0))} labelled by two annotators, '
            'which is the least that shows how far they disagree'
        )
    share = np.where(repeated, squares / np.maximum(1, count - 1) / area[:, None], 0)
    return np.sqrt(share.sum(axis=0) / repeated.sum(axis=0))


def variances(sigmas: Sequence[float] | np.ndarray) -> np.ndarray:
    """k_i^2 = (2 sigma_i)^2, in the precision of the sigmas."""
    return np.square(2 * np.asarray(sigmas))


def check_keypoint_count(
    what: str, keypoints: np.ndarray, sigmas: Sequence[float] | np.ndarray
) -> None:
    """Raise a ValueError unless ``keypoints`` are (N, K, 2) with one sigma for each of the K."""
    if keypoints.ndim != 3 or keypoints.shape[-1] != 2:
        raise ValueError(f'{what} has shape {keypoints.shape}; expected (N, K, 2)')
    if keypoints.shape[1] != len(sigmas):
        raise ValueError(
            f'{what} has {keypoints.shape[1]} keypoints per person, but there are '
            f'{len(sigmas)} sigmas; give the sigmas of the same skeleton'
        )


def blocks(length: int, numbers: int) -> Iterator[slice]:
    """Slices of ``length`` rows, each of about ``BLOCK`` numbers when a row has ``numbers``."""
    step = max(1, BLOCK // max(1, numbers))
    return (slice(start, start + step) for start in range(0, length, step))


def stable_argsort(codes: np.ndarray, below: int) -> np.ndarray:
    """Sort whole numbers from 0 to ``below - 1``; short ones are sorted by radix, a lot faster."""
    return np.argsort(codes.astype(np.min_scalar_type(max(0, below - 1))), kind='stable')
