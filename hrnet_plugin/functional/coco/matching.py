"""COCO's greedy matching of detections to annotated people, for many images at once.

In each image, for each area range and OKS threshold by itself, detections choose in the order of
falling score: the most similar person who is still free and similar enough. Somebody who counts
goes before anybody who is ignored, and the last of equals before the others; a crowd stays free.

Letters for axes: D detections, G annotated people, N pairs of both, T OKS thresholds, A area
ranges.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .arrays import Box, Detections, People, extents, spans
from .oks import EPSILON, oks_of_pairs, stable_argsort, variances

# An OKS of 1 is similar enough at a threshold of 1, whatever rounding made of it.
HIGHEST_THRESHOLD = 1 - 1e-10

# Area ranges times thresholds that one number decides about: one bit for each.
WORD = 64


@dataclass(frozen=True)
class Matches:
    """What detections were matched to. Those without a candidate appear in no array."""

    detection: np.ndarray  # (M,), the detections that have candidates, ascending
    pairs: tuple[np.ndarray, np.ndarray]  # (N,) detections and (N,) people
    oks: np.ndarray  # (N,), of these pairs
    shape: tuple[int, int]  # area ranges and thresholds, to which the bits of the words belong
    found: list[np.ndarray]  # words (M,): who has found somebody who counts
    ignored: list[np.ndarray]  # words (M,): who has found somebody who is ignored
    hits: list[np.ndarray]  # words (N,): which pairs are matched

    def unpack(self, words: list[np.ndarray]) -> np.ndarray:
        """The bits of words as booleans, (A, T, …)."""
        result = np.empty((*self.shape, len(words[0])), dtype=bool)
        for at in np.ndindex(self.shape):
            result[at] = self.unpack_one(words, *at)
        return result

    def unpack_one(self, words: list[np.ndarray], area_range: int, threshold: int) -> np.ndarray:
        """The bits of one area range and threshold as booleans, (…)."""
        word, bit = divmod(area_range * self.shape[1] + threshold, WORD)
        return words[word] & np.uint64(1 << bit) != 0


def match(
    people: People,
    detections: Detections,
    ignore: np.ndarray,
    thresholds: np.ndarray,
    sigmas: np.ndarray,
) -> Matches:
    """Match detections to people.

    Args:
        ignore: (G, A), who does not count in which area range.
        thresholds: (T,).
        sigmas: (K,).
    """
    thresholds = np.minimum(thresholds, HIGHEST_THRESHOLD)
    d, g, oks = _by_preference(*_candidates(people, detections, thresholds.min(), sigmas))
    starts = np.diff(d, prepend=-1) != 0
    first, chooser = np.flatnonzero(starts), np.cumsum(starts) - 1
    turns = list(_turns(detections.group[d[first]], first, chooser))

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
        words.append(_choose(turns, g, chooser, len(first), similar, counts, people.crowd))
    shape = ignore.shape[1], len(thresholds)
    return Matches(d[first], (d, g), oks, shape, *(list(w) for w in zip(*words)))


def _by_preference(
    d: np.ndarray, g: np.ndarray, oks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort pairs (N,) by detection, and those of one so that the one it prefers comes first."""
    order = stable_argsort(d, d.max(initial=0) + 1)
    d, g, oks = d[order], g[order], oks[order]
    same = d[1:] == d[:-1]
    several = np.flatnonzero(np.r_[same, False] | np.r_[False, same])  # most have one candidate
    order = several[np.lexsort((-g[several], -oks[several], d[several]))]
    g[several], oks[several] = g[order], oks[order]
    return d, g, oks


def _candidates(
    people: People, detections: Detections, lowest: float, sigmas: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of a group with an OKS of at least ``lowest``: detections, people, OKS, each (N,)."""
    first = np.searchsorted(detections.group, people.group)
    count = np.searchsorted(detections.group, people.group, side='right') - first
    d = spans(first, count)
    g = np.repeat(np.arange(len(count)), count)

    box = _boxes(people)
    near = _near(box, detections.box, people.area + EPSILON, lowest, sigmas, d, count)
    d, g = d[near], g[near]
    arguments = people.keypoints, people.visible, people.area, sigmas, people.bbox
    oks = np.ones(len(d))
    measured = ~_inside(people, box, detections.box, d, g)
    row = detections.row[d[measured]]
    oks[measured] = oks_of_pairs(detections.keypoints, *arguments, row, g[measured])
    enough = oks >= lowest
    return d[enough], g[enough], oks[enough]


def _boxes(people: People) -> Box:
    """Around the labelled keypoints; for people without any, where a detection is on them."""
    low, high = extents(people.keypoints, labelled_only=True)
    nothing = high[0] < low[0]
    corner, size = people.bbox[:, :2].T, people.bbox[:, 2:].T
    return np.where(nothing, corner - size, low), np.where(nothing, corner + 2 * size, high)


def _near(
    people: Box,
    detections: Box,
    scale: np.ndarray,
    lowest: float,
    sigmas: np.ndarray,
    d: np.ndarray,
    count: np.ndarray,
) -> np.ndarray:
    """Indices of pairs that are not too far apart for an OKS of ``lowest``.

    If the boxes around the keypoints are r apart, then so are all keypoints at least, and
    OKS <= exp(-r^2 / (2 s^2 k^2)) with the largest k.

    Args:
        scale: (G,), areas.
        d: (N,), detections of the pairs, sorted by person.
        count: (G,), how many are of each person.
    """
    if lowest <= 0:
        return np.arange(len(d))
    # The margin is far above rounding errors, which must not decide here.
    reach2 = 2 * scale * variances(sigmas).max() * (1e-9 - np.log(lowest))
    reach2[~(scale > 0)] = np.inf
    distance2 = np.zeros(len(d))
    with np.errstate(over='ignore'):
        for low, high, d_low, d_high in zip(*people, *detections):
            apart = np.repeat(low, count)
            apart -= d_high.take(d)
            below = d_low.take(d)
            below -= np.repeat(high, count)
            np.maximum(apart, below, out=apart)
            np.maximum(apart, 0, out=apart)
            apart *= apart
            distance2 += apart
    return np.flatnonzero(distance2 <= np.repeat(reach2, count))


def _inside(people: People, box: Box, detections: Box, d: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Pairs (N,) of a person without labelled keypoints and a detection on him: an OKS of 1."""
    inside = np.logical_not((people.visible > 0).any(axis=1))[g]
    pairs = np.flatnonzero(inside)
    d, g = d[pairs], g[pairs]
    (low, high), (d_low, d_high) = box, detections
    within = (low[:, g] <= d_low[:, d]) & (d_high[:, d] <= high[:, g])
    inside[pairs] = within.all(axis=0)
    return inside


def _turns(
    group: np.ndarray, first: np.ndarray, chooser: np.ndarray
) -> Iterator[list[np.ndarray]]:
    """Sort pairs into turns, in each of which at most one detection of each group chooses.

    Args:
        group: (M,), of the detections that choose, ascending.
        first: (M,), the first pair of each.
        chooser: (N,), which of the M each pair belongs to.

    Yields:
        For each turn, pairs (at most M,): everybody's best, then everybody's second best, ….
    """
    turn = np.arange(len(group)) - np.searchsorted(group, group)
    place = np.arange(len(chooser)) - first[chooser]
    turn, places = turn[chooser], place.max(initial=0) + 1
    code = turn * places + place
    order = stable_argsort(code, code.max(initial=0) + 1)
    ends = np.searchsorted(code[order], np.arange(1, turn.max(initial=-1) + 2) * places)
    for start, end in zip(np.r_[0, ends[:-1]], ends):
        pairs = order[start:end]
        changes = np.flatnonzero(np.diff(place[pairs])) + 1
        yield np.split(pairs, changes)


def _choose(
    turns: list[list[np.ndarray]],
    g: np.ndarray,
    chooser: np.ndarray,
    choosers: int,
    similar: np.ndarray,
    counts: np.ndarray,
    crowd: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match, for all combinations of area range and threshold that a word has bits for.

    Args:
        turns: see :func:`_turns`.
        g: (N,), person of each pair.
        chooser: (N,), detection of each pair, one of ``choosers``.
        similar: (N,), uint64: whether a pair is similar enough.
        counts: (G,), uint64: whether a person counts.
        crowd: (G,).

    Returns:
        Bits (M,): who has found somebody who counts; (M,): who has found somebody ignored; and
        (N,): which pairs are matched.
    """
    everything = np.uint64(2**WORD - 1)
    free = np.full(len(crowd), everything)
    stays = np.where(crowd, everything, np.uint64(0))
    found, ignored = np.zeros((2, choosers), np.uint64)
    hits = np.zeros(len(g), np.uint64)
    for places in turns:
        for mine, wanted in ((found, counts), (ignored, ~counts)):
            for pairs in places:
                person, who = g[pairs], chooser[pairs]
                hit = similar[pairs] & free[person] & wanted[person]
                hit &= ~(found[who] | ignored[who])
                mine[who] |= hit
                hits[pairs] |= hit
                free[person] &= ~hit | stays[person]
    return found, ignored, hits
