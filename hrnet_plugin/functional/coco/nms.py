"""Non-maximum suppression of instances by OKS, in one image or in many at once.

Instances are compared as in MMPose: all keypoints count, and the area is the mean of both. OKS is
computed in the precision of the input and rounded to float32, so that comparisons with a threshold
have the same outcome.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .numeric import blocks, stable_argsort
from .oks import EPSILON, check_keypoint_count, variances

# Compare this many keypoints first; skip pairs that are already below the threshold.
PREFILTER_KEYPOINTS = 4
# Larger areas would overflow in a mean of two.
HIGHEST_AREA = 1e300
# Rounding errors are to order no scores that should be equal.
SCORE_DECIMALS = 9


def oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    sigmas: Sequence[float] | np.ndarray,
    images: np.ndarray | None = None,
) -> np.ndarray:
    """Keep the instance with the best score, drop those similar to it, and so on.

    Equals ``mmpose.evaluation.functional.oks_nms`` of each image.

    Args:
        keypoints: Keypoints (N, K, 2) of the instances in one image or in many, in pixels.
        scores: Scores (N,) of the instances.
        areas: Areas (N,), in square pixels; a pair is compared with the mean of both.
        threshold: OKS above which an instance is dropped.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area.
        images: Sortable ids (N,) of the images of the instances, as only instances of one image
            are compared. By default, all are of one.

    Returns:
        Indices of the kept instances, image by image in the order of ``images``, by descending
        score.

    Raises:
        ValueError: The shapes do not fit together.

    Example:
        The first two instances are one pixel apart:

        >>> keypoints = np.array([[[10.0, 10.0]], [[11.0, 10.0]], [[80.0, 60.0]]])
        >>> scores, areas = np.array([0.5, 0.9, 0.7]), np.array([400.0, 400.0, 400.0])
        >>> oks_nms(keypoints, scores, areas, threshold=0.9, sigmas=[0.1])
        array([1, 2])
    """
    candidates = _NMSCandidates(keypoints, areas, sigmas)
    image = _image_numbers(images, len(candidates))
    orders = [order.ravel() for order in _orders(np.asarray(scores), image)]
    left = np.concatenate([np.empty(0, np.intp), *orders])
    left = left[stable_argsort(image[left], image.max(initial=0) + 1)]
    kept = [np.empty(0, np.intp)]
    while len(left):
        is_best = np.diff(image[left], prepend=-1) != 0
        best, rest = left[is_best], left[~is_best]
        kept.append(best)
        best_of_rest = np.repeat(best, np.diff(np.flatnonzero(np.r_[is_best, True])) - 1)
        left = rest[candidates.dissimilar(best_of_rest, rest, threshold)]
    keep = np.concatenate(kept)
    return keep[stable_argsort(image[keep], image.max(initial=0) + 1)]


def soft_oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    sigmas: Sequence[float] | np.ndarray,
    max_dets: int = 20,
    images: np.ndarray | None = None,
) -> np.ndarray:
    """Keep the instance with the best score, decay those similar to it, and so on.

    Scores are multiplied by ``exp(-OKS^2 / threshold)`` (Bodla et al., "Soft-NMS",
    https://arxiv.org/abs/1704.04503, equation 3, with OKS for the overlap). The decayed scores
    decide the order, and are not returned. Equals
    ``mmpose.evaluation.functional.soft_oks_nms`` of each image.

    Args:
        keypoints: Keypoints (N, K, 2) of the instances in one image or in many, in pixels.
        scores: Scores (N,) of the instances.
        areas: Areas (N,), in square pixels; a pair is compared with the mean of both.
        threshold: Width of the Gaussian above.
        sigmas: Standard deviations (K,) of the keypoints, relative to the square root of the area.
        max_dets: Number of instances to keep in each image.
        images: Sortable ids (N,) of the images of the instances, as only instances of one image
            are compared. By default, all are of one.

    Returns:
        Indices of the kept instances, image by image in the order of ``images``, in the order in
        which they were chosen.

    Raises:
        ValueError: The shapes do not fit together.

    Example:
        The first two instances are one pixel apart:

        >>> keypoints = np.array([[[10.0, 10.0]], [[11.0, 10.0]], [[80.0, 60.0]]])
        >>> scores, areas = np.array([0.8, 0.9, 0.7]), np.array([400.0, 400.0, 400.0])
        >>> soft_oks_nms(keypoints, scores, areas, threshold=0.9, sigmas=[0.1])
        array([1, 2, 0])
    """
    candidates = _NMSCandidates(keypoints, areas, sigmas)
    image, scores = _image_numbers(images, len(candidates)), np.asarray(scores)
    kept = [np.empty(0, np.intp)]
    for order in _orders(scores, image):
        kept.append(_soft_nms(candidates, order, scores[order], threshold, max_dets).ravel())
    keep = np.concatenate(kept)
    return keep[stable_argsort(image[keep], image.max(initial=0) + 1)]


def soft_nms_scores(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    sigmas: Sequence[float] | np.ndarray,
    images: np.ndarray | None = None,
) -> np.ndarray:
    """Return the scores (N,) that soft-NMS gives instances, at which it chooses them.

    Other than in :func:`soft_oks_nms`, OKS is not rounded, and of scores that are equal to
    ``SCORE_DECIMALS`` decimals the first is chosen. Arguments are as there.

    Example:
        >>> keypoints = np.array([[[10.0, 10.0]], [[10.0, 10.0]], [[80.0, 60.0]]])
        >>> scores, areas = np.array([0.8, 0.9, 0.7]), np.array([400.0, 400.0, 400.0])
        >>> soft_nms_scores(keypoints, scores, areas, threshold=0.5, sigmas=[0.1]).round(3)
        array([0.108, 0.9  , 0.7  ])
    """
    candidates = _NMSCandidates(keypoints, np.minimum(areas, HIGHEST_AREA), sigmas)
    image = _image_numbers(images, len(candidates))
    result = np.array(scores, np.float64)
    for left in _of_equal_size(image):
        while left.shape[1] > 1:
            is_best = np.zeros(left.shape, bool)
            rounded = result[left].round(SCORE_DECIMALS)
            is_best[np.arange(len(left)), rounded.argmax(axis=1)] = True
            best, left = left[is_best], left[~is_best].reshape(len(left), -1)
            overlap = candidates.similarity(np.repeat(best, left.shape[1]), left.ravel())
            result[left] *= np.exp(-np.square(overlap) / threshold).reshape(left.shape)
    return result


def _soft_nms(
    candidates: '_NMSCandidates',
    order: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    max_dets: int,
) -> np.ndarray:
    """Choose instances in images of equally many, (I, N) by descending scores: (I, kept)."""
    keep = order[:, :0]
    while order.shape[1] and keep.shape[1] < max_dets:
        best, rest = order[:, :1], order[:, 1:]
        keep = np.concatenate([keep, best], axis=1)
        similarity = candidates.oks(np.broadcast_to(best, rest.shape).ravel(), rest.ravel())
        scores = scores[:, 1:] * np.exp(-np.square(similarity.reshape(rest.shape)) / threshold)
        again = np.argsort(scores, axis=1)[:, ::-1]
        order, scores = (np.take_along_axis(x, again, axis=1) for x in (rest, scores))
    return keep


class _NMSCandidates:
    """Instances that are compared with each other.

    Args:
        keypoints: (N, K, 2).
        areas: (N,).
        sigmas: (K,).
    """

    def __init__(self, keypoints: Any, areas: Any, sigmas: Any) -> None:
        keypoints = np.asarray(keypoints)
        check_keypoint_count('keypoints', keypoints, sigmas)
        self.points = _x_then_y(keypoints)
        self.areas = np.asarray(areas)
        self.variances = variances(sigmas)
        self.prefilter = slice(None, None, -(-len(sigmas) // PREFILTER_KEYPOINTS) or 1)
        self.prefilter_points = _x_then_y(keypoints[:, self.prefilter])

    def __len__(self) -> int:
        return len(self.points)

    def oks(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Compute the OKS (N,), float32, of pairs of indices (N,)."""
        return self.similarity(first, second).astype(np.float32)

    def similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Compute the OKS (N,), as precise as the input, of pairs of indices (N,)."""
        return self._sums(self.points, self.variances, first, second) / len(self.variances)

    def dissimilar(self, first: np.ndarray, second: np.ndarray, threshold: float) -> np.ndarray:
        """Return indices of the pairs with an OKS of at most ``threshold``."""
        few = self.variances[self.prefilter]
        at_most = self._sums(self.prefilter_points, few, first, second)
        at_most += len(self.variances) - len(few)
        # The margin is far above rounding errors, which must not decide here.
        rest = np.flatnonzero(at_most / len(self.variances) > threshold - 1e-3)
        similar = np.zeros(len(first), dtype=bool)
        similar[rest] = self.oks(first[rest], second[rest]) > threshold
        return np.flatnonzero(~similar)

    def _sums(
        self, points: np.ndarray, spread: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> np.ndarray:
        """Sum the similarities (N,) of keypoints (instances, 2 K) over keypoints."""
        sums = np.empty(len(first), np.result_type(points, spread, self.areas, EPSILON))
        for block in blocks(len(first), points.shape[1]):
            left, right = first[block], second[block]
            squares = points.take(right, axis=0)
            squares -= points.take(left, axis=0)
            squares *= squares
            distance2 = squares[:, : len(spread)]
            distance2 += squares[:, len(spread) :]
            area = (self.areas[left] + self.areas[right]) / 2 + EPSILON
            exponent = distance2 / spread / area[:, None]
            exponent *= -0.5
            np.exp(exponent, out=exponent).sum(axis=1, out=sums[block])
        return sums


def _x_then_y(keypoints: np.ndarray) -> np.ndarray:
    """Convert (N, K, 2) to (N, 2 K): x of all keypoints, then y of all."""
    return keypoints.transpose(0, 2, 1).reshape(len(keypoints), 2 * keypoints.shape[1])


def _image_numbers(images: Any, count: int) -> np.ndarray:
    """Return the number of each instance's image (N,), 0, 1, … in the order of their ids."""
    if images is None:
        return np.zeros(count, np.intp)
    numbers = np.unique(np.asarray(images), return_inverse=True)[1].reshape(-1)
    if len(numbers) != count:
        raise ValueError(
            f'there are {len(numbers)} images for {count} instances; give the image of each'
        )
    return numbers


def _orders(scores: np.ndarray, image: np.ndarray) -> Iterator[np.ndarray]:
    """Yield, for each N, indices (I, N) by descending score of the images with N instances.

    NumPy's sort of a row leaves equal scores in the order in which it leaves them for that row
    alone, as MMPose sorts it. Anything else added to the row would change it.
    """
    for rows in _of_equal_size(image):
        yield np.take_along_axis(rows, np.argsort(scores[rows], axis=1)[:, ::-1], axis=1)


def _of_equal_size(image: np.ndarray) -> Iterator[np.ndarray]:
    """Yield, for each N, indices (I, N) of the images with N instances, in the order given."""
    by_image = stable_argsort(image, image.max(initial=0) + 1)
    sizes = np.bincount(image)
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes[sizes > 0]):
        yield by_image[starts[sizes == size, None] + np.arange(size)]
