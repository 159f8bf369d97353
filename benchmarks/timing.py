"""Fair timing of two functions, and tables, for all benchmarks.

A benchmark is a script of this folder that prints Markdown; ``run.py`` runs them all.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hrnet_plugin.utils.tables import cell as cell
from hrnet_plugin.utils.tables import table as table
from hrnet_plugin.utils.timing import by_turns
from hrnet_plugin.utils.timing import seconds as seconds

THREADS = 2


class Ratio(NamedTuple):
    """Seconds of one run of ours and of stock, their ratio stock to ours, and its range."""

    ours_s: float
    stock_s: float
    ratio: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> 'Ratio':
        """Take the medians of pairs of times, ours and stock's, and of their ratios."""
        ours, stock = map(statistics.median, zip(*pairs))
        ratios = [b / a for a, b in pairs]
        return cls(ours, stock, statistics.median(ratios), min(ratios), max(ratios))


def compare(
    ours: Callable[[], Any], stock: Callable[[], Any], repeats: int = 9, warm_up: int = 2
) -> Ratio:
    """Time two functions by turns, so that other load of the machine affects both alike.

    A turn is as many runs as take 0.03 s, after as many for warm-up.

    Args:
        ours: A function without arguments.
        stock: The function to compare with.
        repeats: How many pairs of turns are measured.
        warm_up: How many runs of each come before them.

    Returns:
        Median times, and the median and the range of the pairs' ratios.
    """
    return Ratio.of([(a, b) for a, b in by_turns([ours, stock], repeats, warm_up)])


def best(function: Callable[[], Any], repeats: int = 25) -> float:
    """Return the shortest wall-clock time of one run, in seconds."""
    return min(seconds(function) for _ in range(repeats))


def use_threads(count: int = THREADS) -> None:
    """Limit torch and OpenCV to so many threads."""
    import cv2
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)


def ratio_table(ratios: dict[str, Ratio], targets: dict[str, float] | None = None) -> str:
    """Format a Markdown table of comparisons in milliseconds, with the goal of each ratio."""
    columns = ['', 'ours (ms)', 'stock (ms)', 'times as fast', 'lowest to highest']
    rows = [
        [name, 1e3 * r.ours_s, 1e3 * r.stock_s, r.ratio, f'{cell(r.lowest)} to {cell(r.highest)}']
        for name, r in ratios.items()
    ]
    if targets:
        columns.append('goal')
        rows = [[*row, targets.get(str(row[0]), '')] for row in rows]
    return table(columns, rows)
