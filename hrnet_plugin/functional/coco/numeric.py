"""NumPy helpers: work in blocks, sort fast and stably, index runs."""

from collections.abc import Iterator

import numpy as np

# Numbers that are worked on at once: they and their temporaries fit into a core's cache.
BLOCK = 1 << 15


def blocks(length: int, width: int) -> Iterator[slice]:
    """Split ``length`` rows of ``width`` numbers into slices of about ``BLOCK`` numbers each."""
    step = max(1, BLOCK // max(1, width))
    return (slice(start, start + step) for start in range(0, length, step))


def stable_argsort(codes: np.ndarray, below: int) -> np.ndarray:
    """Sort whole numbers from 0 to ``below - 1`` stably.

    NumPy sorts 8- and 16-bit integers by radix, which is a lot faster.
    """
    return np.argsort(codes.astype(np.min_scalar_type(max(0, below - 1))), kind='stable')


def argsort_descending(scores: np.ndarray) -> np.ndarray:
    """Sort scores in descending order, stably.

    NumPy's default sort is not stable, but many times faster than its stable one: so restore the
    order of equal scores afterwards.
    """
    order = np.argsort(-scores)
    changes = np.diff(scores[order]) != 0
    if changes.all():
        return order
    run = np.concatenate([[0], np.cumsum(changes)]) * len(order)
    return np.sort(run + order) - run


def spans(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Concatenate ``counts[0]`` indices from ``starts[0]`` on, ``counts[1]`` from ``starts[1]``, …

    >>> spans(np.array([10, 0]), np.array([3, 2])).tolist()
    [10, 11, 12, 0, 1]
    """
    indices = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    indices += np.arange(len(indices))
    return indices
