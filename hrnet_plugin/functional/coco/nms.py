"""Suppression of people found twice, in one image or in many at once.

People are compared as MMPose compares them: all keypoints count, and the area is the mean of both.
OKS is computed in the precision of the input and rounded to float32, so that the comparison with a
threshold falls the same way.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .oks import EPSILON, blocks, check_keypoint_count, stable_argsort, variances

# So many keypoints are compared first; whom they show to be unlike is compared no further.
GLANCE = 4


def oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    sigmas: Sequence[float] | np.ndarray,
    images: np.ndarray | None = None,
) -> np.ndarray:
    """Keep the best-scored person, drop those who resemble it, and so on down the scores.

    Args:
        keypoints: (N, K, 2), the people found in one image, or in many.
        scores: (N,).
        areas: (N,), in square pixels; two people are compared with the mean of theirs.
        threshold: people with an OKS above it are taken for the same person.
        sigmas: (K,).
        images: (N,), any sortable ids: in which image each was found. Only people of one image
            are compared. If not given, all are of one.

    Returns:
        Indices of the kept, image by image in the order of ``images``, best score first.
    """
    people = _People(keypoints, areas, sigmas)
    image = _numbers(images, len(people))
    orders = [order.ravel() for order in _orders(np.asarray(scores), image)]
    candidates = np.concatenate([np.empty(0, np.intp), *orders])
    candidates = candidates[stable_argsort(image[candidates], image.max(initial=0) + 1)]
    kept = [np.empty(0, np.intp)]
    while len(candidates):
        first = np.diff(image[candidates], prepend=-1) != 0
        best, rest = candidates[first], candidates[~first]
        kept.append(best)
        rivals = np.repeat(best, np.diff(np.flatnonzero(np.r_[first, True])) - 1)
        candidates = rest[people.unlike(rivals, rest, threshold)]
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
    """Keep the best-scored person, lower the scores of those who resemble it, and so on.

    A score falls by ``exp(-OKS^2 / threshold)`` (Bodla et al., "Soft-NMS", equation 3, with OKS
    for the overlap). The lowered scores decide who comes next, and are not returned.

    Args:
        keypoints: (N, K, 2), the people found in one image, or in many.
        scores: (N,).
        areas: (N,), in square pixels.
        threshold: the width of the Gaussian above.
        sigmas: (K,).
        max_dets: how many to keep of each image.
        images: (N,), see :func:`oks_nms`.

    Returns:
        Indices of the kept, image by image in the order of ``images``, as they were chosen.
    """
    people = _People(keypoints, areas, sigmas)
    image, scores = _numbers(images, len(people)), np.asarray(scores)
    kept = [np.empty(0, np.intp)]
    for order in _orders(scores, image):
        kept.append(_soft(people, order, scores[order], threshold, max_dets).ravel())
    keep = np.concatenate(kept)
    return keep[stable_argsort(image[keep], image.max(initial=0) + 1)]


def _soft(
    people: '_People', order: np.ndarray, scores: np.ndarray, threshold: float, max_dets: int
) -> np.ndarray:
    """Choose in images of equally many people, (I, N) with falling scores: (I, kept)."""
    keep = order[:, :0]
    while order.shape[1] and keep.shape[1] < max_dets:
        best, rest = order[:, :1], order[:, 1:]
        keep = np.concatenate([keep, best], axis=1)
        alike = people.oks(np.broadcast_to(best, rest.shape).ravel(), rest.ravel())
        scores = scores[:, 1:] * np.exp(-np.square(alike.reshape(rest.shape)) / threshold)
        again = np.argsort(scores, axis=1)[:, ::-1]
        order, scores = (np.take_along_axis(x, again, axis=1) for x in (rest, scores))
    return keep


class _People:
    """People who are compared with each other.

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
        self.few = slice(None, None, -(-len(sigmas) // GLANCE) or 1)
        self.few_points = _x_then_y(keypoints[:, self.few])

    def __len__(self) -> int:
        return len(self.points)

    def oks(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """OKS (N,), float32, of the people numbered ``one`` with those numbered ``other``."""
        total = self._sums(self.points, self.variances, one, other)
        return (total / len(self.variances)).astype(np.float32)

    def unlike(self, one: np.ndarray, other: np.ndarray, threshold: float) -> np.ndarray:
        """Indices of pairs with an OKS of at most ``threshold``."""
        few = self.variances[self.few]
        at_most = self._sums(self.few_points, few, one, other)
        at_most += len(self.variances) - len(few)
        # The margin is far above rounding errors, which must not decide here.
        look = np.flatnonzero(at_most / len(self.variances) > threshold - 1e-3)
        alike = np.zeros(len(one), dtype=bool)
        alike[look] = self.oks(one[look], other[look]) > threshold
        return np.flatnonzero(~alike)

    def _sums(
        self, points: np.ndarray, spread: np.ndarray, one: np.ndarray, other: np.ndarray
    ) -> np.ndarray:
        """What the keypoints of ``points``, (people, 2K), add to OKS times K: (N,)."""
        sums = np.empty(len(one), np.result_type(points, spread, self.areas, EPSILON))
        for block in blocks(len(one), points.shape[1]):
            left, right = one[block], other[block]
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
    """(N, K, 2) as (N, 2K), so that x of all keypoints are next to each other, and y are."""
    return keypoints.transpose(0, 2, 1).reshape(len(keypoints), 2 * keypoints.shape[1])


def _numbers(images: Any, people: int) -> np.ndarray:
    """Number of each person's image, 0, 1, … in their order: (N,)."""
    if images is None:
        return np.zeros(people, np.intp)
    numbers = np.unique(np.asarray(images), return_inverse=True)[1].reshape(-1)
    if len(numbers) != people:
        raise ValueError(f'there are {len(numbers)} images for {people} people')
    return numbers


def _orders(scores: np.ndarray, image: np.ndarray) -> Iterator[np.ndarray]:
    """Indices (I, N) by falling score of those images in which N people were found, for each N.

    NumPy's sort of a row leaves equal scores in the order in which it leaves them for that row
    alone, as MMPose sorts it. To add anything else to the row would change it.
    """
    by_image = stable_argsort(image, image.max(initial=0) + 1)
    sizes = np.bincount(image)
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes[sizes > 0]):
        rows = by_image[starts[sizes == size, None] + np.arange(size)]
        yield np.take_along_axis(rows, np.argsort(scores[rows], axis=1)[:, ::-1], axis=1)
