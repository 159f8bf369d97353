"""COCO's greedy matching of detections to annotated instances, for many images at once.

In each image, for each area range and OKS threshold separately, detections are processed in
descending order of score. Each takes the most similar instance that is not matched yet and
reaches the threshold: one that counts before an ignored one, and the last of equals. Crowds can be
matched repeatedly (https://cocodataset.org/#detection-eval and ``COCOeval.evaluateImg``).

Letters for axes: D detections, G annotated instances, N pairs of both, M detections with at least
one pair, T OKS thresholds, A area ranges.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .instances import Box, Detections, GroundTruth, extents
from .numeric import spans, stable_argsort
from .oks import EPSILON, oks_of_pairs, variances

# Cap thresholds just below 1 so that a perfect match survives rounding.
HIGHEST_THRESHOLD = 1 - 1e-10

# Combinations of area range and threshold that one integer (a word) decides: one bit for each.
WORD = 64

# Detections (N,), annotated instances (N,) and their OKS (N,)
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Matches:
    """Matched pairs. Detections that are similar to no instance appear in no array."""

    detection: np.ndarray  # (M,), indices of detections with pairs, ascending
    pairs: tuple[np.ndarray, np.ndarray]  # (N,) detections and (N,) annotated instances
    oks: np.ndarray  # (N,), of these pairs
    shape: tuple[int, int]  # number of area ranges and thresholds, which number the bits
    matched: list[np.ndarray]  # words (M,): detections matched to an instance that counts
    matched_to_ignored: list[np.ndarray]  # words (M,): those matched to an ignored instance
    is_match: list[np.ndarray]  # words (N,): matched pairs

    def unpack(self, words: list[np.ndarray]) -> np.ndarray:
        """Unpack the bits of words (…) to booleans (A, T, …)."""
        result = np.empty((*self.shape, len(words[0])), dtype=bool)
        for at in np.ndindex(self.shape):
            result[at] = self.unpack_one(words, *at)
        return result

    def unpack_one(self, words: list[np.ndarray], area_range: int, threshold: int) -> np.ndarray:
        """Unpack the bits of one area range and threshold to booleans (…)."""
        word, bit = divmod(area_range * self.shape[1] + threshold, WORD)
        return words[word] & np.uint64(1 << bit) != 0


def match(
    gt: GroundTruth,
    detections: Detections,
    ignore: np.ndarray,
    thresholds: np.ndarray,
    sigmas: np.ndarray,
    pairs: Pairs | None = None,
) -> Matches:
    """Match detections to annotated instances.

    Args:
        gt: Annotated instances.
        detections: Detections of the same groups.
        ignore: (G, A), instances that are ignored in each area range.
        thresholds: OKS thresholds (T,).
        sigmas: Standard deviations (K,) of the keypoints.
        pairs: What :func:`similar_pairs` returns for the lowest threshold or one below it, in any
            order; computed by default.
    """
    thresholds = np.minimum(thresholds, HIGHEST_THRESHOLD)
    lowest = thresholds.min()
    if pairs is None:
        d, g, oks = similar_pairs(gt, detections, lowest, sigmas)
    else:
        enough = pairs[2] >= lowest
        d, g, oks = (each[enough] for each in pairs)
    d, g, oks = _by_preference(d, g, oks)
    starts = np.diff(d, prepend=-1) != 0
    first, matcher = np.flatnonzero(starts), np.cumsum(starts) - 1
    rounds = list(_rounds(detections.group[d[first]], first, matcher))

    a, t = np.indices((ignore.shape[1], len(thresholds))).reshape(2, -1)
    words = []
    for start in range(0, len(a), WORD):
        bits = np.left_shift(
            np.uint64(1), np.arange(len(a[start : start + WORD]), dtype=np.uint64)
        )
        similar, counts = np.zeros(len(d), np.uint64), np.zeros(len(ignore), np.uint64)
        for n, threshold in enumerate(thresholds):
            similar[oks >= threshold] |= bits[t[start : start + WORD] == n].sum()
        for n, ignored in enumerate(ignore.T):
            counts[~ignored] |= bits[a[start : start + WORD] == n].sum()
        words.append(_match_words(rounds, g, matcher, len(first), similar, counts, gt.crowd))
    shape = ignore.shape[1], len(thresholds)
    return Matches(d[first], (d, g), oks, shape, *(list(w) for w in zip(*words)))


def _by_preference(d: np.ndarray, g: np.ndarray, oks: np.ndarray) -> Pairs:
    """Sort pairs (N,) by detection, then by descending OKS, the last of equals first."""
    order = stable_argsort(d, d.max(initial=0) + 1)
    d, g, oks = d[order], g[order], oks[order]
    same = d[1:] == d[:-1]
    several = np.flatnonzero(np.r_[same, False] | np.r_[False, same])  # most have a single pair
    order = several[np.lexsort((-g[several], -oks[several], d[several]))]
    g[several], oks[several] = g[order], oks[order]
    return d, g, oks


def similar_pairs(
    gt: GroundTruth, detections: Detections, lowest: float, sigmas: np.ndarray
) -> Pairs:
    """Return pairs within a group with an OKS of at least ``lowest``."""
    first = np.searchsorted(detections.group, gt.group)
    count = np.searchsorted(detections.group, gt.group, side='right') - first
    d = spans(first, count)
    g = np.repeat(np.arange(len(count)), count)

    box = _boxes(gt)
    near = _near(box, detections.box, gt.area + EPSILON, lowest, sigmas, d, count)
    d, g = d[near], g[near]
    oks = np.ones(len(d))
    rest = ~_inside_unlabelled(gt, box, detections.box, d, g)
    oks[rest] = oks_of_pairs(
        detections.keypoints,
        gt.keypoints,
        gt.visible,
        gt.area,
        sigmas,
        gt.bbox,
        detections.row[d[rest]],
        g[rest],
    )
    enough = oks >= lowest
    return d[enough], g[enough], oks[enough]


def _boxes(gt: GroundTruth) -> Box:
    """Return boxes around labelled keypoints; without any, boxes within which the OKS is 1."""
    low, high = extents(gt.keypoints, labelled_only=True)
    unlabelled = high[0] < low[0]
    corner, size = gt.bbox[:, :2].T, gt.bbox[:, 2:].T
    return (
        np.where(unlabelled, corner - size, low),
        np.where(unlabelled, corner + 2 * size, high),
    )


def _near(
    boxes: Box,
    detection_boxes: Box,
    scale: np.ndarray,
    lowest: float,
    sigmas: np.ndarray,
    d: np.ndarray,
    count: np.ndarray,
) -> np.ndarray:
    """Return indices of pairs that are not too far apart for an OKS of ``lowest``.

    If the boxes around the keypoints are r apart, then so are all keypoints at least, and
    OKS <= exp(-r^2 / (2 s^2 k^2)) with the largest k.

    Args:
        boxes: Boxes (2, G) of annotated instances.
        detection_boxes: Boxes (2, D) of detections.
        scale: Areas (G,).
        lowest: OKS.
        sigmas: Standard deviations (K,) of the keypoints.
        d: Detections (N,) of the pairs, which are sorted by annotated instance.
        count: Number (G,) of pairs of each annotated instance.
    """
    if lowest <= 0:
        return np.arange(len(d))
    # The margin is far above rounding errors, which must not decide here.
    reach2 = 2 * scale * variances(sigmas).max() * (1e-9 - np.log(lowest))
    reach2[~(scale > 0)] = np.inf
    distance2 = np.zeros(len(d))
    with np.errstate(over='ignore'):
        for low, high, d_low, d_high in zip(*boxes, *detection_boxes):
            apart = np.repeat(low, count)
            apart -= d_high.take(d)
            below = d_low.take(d)
            below -= np.repeat(high, count)
            np.maximum(apart, below, out=apart)
            np.maximum(apart, 0, out=apart)
            apart *= apart
            distance2 += apart
    return np.flatnonzero(distance2 <= np.repeat(reach2, count))


def _inside_unlabelled(
    gt: GroundTruth, box: Box, detection_boxes: Box, d: np.ndarray, g: np.ndarray
) -> np.ndarray:
    """Whether pairs (N,) are a detection within an instance without labelled keypoints: OKS 1."""
    inside = np.logical_not((gt.visible > 0).any(axis=1))[g]
    pairs = np.flatnonzero(inside)
    d, g = d[pairs], g[pairs]
    (low, high), (d_low, d_high) = box, detection_boxes
    within = (low[:, g] <= d_low[:, d]) & (d_high[:, d] <= high[:, g])
    inside[pairs] = within.all(axis=0)
    return inside


def _rounds(
    group: np.ndarray, first: np.ndarray, matcher: np.ndarray
) -> Iterator[list[np.ndarray]]:
    """Sort pairs into rounds, in each of which at most one detection of each group is matched.

    Args:
        group: Groups (M,) of the detections, ascending.
        first: Index (M,) of the first pair of each.
        matcher: Detection (N,) of each pair, from 0 to M - 1.

    Yields:
        For each round, indices of pairs (at most M,): the first choice of each detection, then
        the second choice, ….
    """
    turn = np.arange(len(group)) - np.searchsorted(group, group)
    choice = np.arange(len(matcher)) - first[matcher]
    turn, choices = turn[matcher], choice.max(initial=0) + 1
    code = turn * choices + choice
    order = stable_argsort(code, code.max(initial=0) + 1)
    ends = np.searchsorted(code[order], np.arange(1, turn.max(initial=-1) + 2) * choices)
    for start, end in zip(np.r_[0, ends[:-1]], ends):
        pairs = order[start:end]
        changes = np.flatnonzero(np.diff(choice[pairs])) + 1
        yield np.split(pairs, changes)


def _match_words(
    rounds: list[list[np.ndarray]],
    g: np.ndarray,
    matcher: np.ndarray,
    num_matchers: int,
    similar: np.ndarray,
    counts: np.ndarray,
    crowd: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match for all combinations of area range and threshold that a word has bits for.

    Args:
        rounds: See :func:`_rounds`.
        g: Annotated instance (N,) of each pair.
        matcher: Detection (N,) of each pair, from 0 to M - 1.
        num_matchers: M.
        similar: Words (N,): whether a pair reaches the threshold.
        counts: Words (G,): whether an instance counts.
        crowd: (G,).

    Returns:
        Words (M,): detections matched to an instance that counts; words (M,): those matched to an
        ignored one; words (N,): matched pairs.
    """
    all_bits = np.uint64(2**WORD - 1)
    free = np.full(len(crowd), all_bits)
    stays_free = np.where(crowd, all_bits, np.uint64(0))
    matched, matched_to_ignored = np.zeros((2, num_matchers), np.uint64)
    is_match = np.zeros(len(g), np.uint64)
    for choices in rounds:
        for result, eligible in ((matched, counts), (matched_to_ignored, ~counts)):
            for pairs in choices:
                instance, detection = g[pairs], matcher[pairs]
                new = similar[pairs] & free[instance] & eligible[instance]
                new &= ~(matched[detection] | matched_to_ignored[detection])
                result[detection] |= new
                is_match[pairs] |= new
                free[instance] &= ~new | stays_free[instance]
    return matched, matched_to_ignored, is_match
