"""What the benchmarks share: fair timing of two functions, and tables.

A benchmark is a script of this folder that prints Markdown; ``run.py`` runs them all.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

THREADS = 2


class Ratio(NamedTuple):
    """Seconds of one run each, how many times as long stock takes, and the range of that."""

    ours_s: float
    stock_s: float
    ratio: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> 'Ratio':
        """Medians of pairs of times, ours and stock's, and of their ratios."""
        ours, stock = map(statistics.median, zip(*pairs))
        ratios = [b / a for a, b in pairs]
        return cls(ours, stock, statistics.median(ratios), min(ratios), max(ratios))


def compare(
    ours: Callable[[], Any], stock: Callable[[], Any], repeats: int = 9, warm_up: int = 2
) -> Ratio:
    """Time two functions by turns, so that both see the same of what else the machine does.

    A turn is as many runs as take 0.03 s, after as many that do not count.

    Args:
        ours: function without arguments.
        stock: function to compare with.
        repeats: pairs of turns that count.
        warm_up: runs of each before them, which do not.

    Returns:
        Median times, and the median and the range of the pairs' ratios.
    """
    for _ in range(warm_up):
        ours()
        stock()
    return Ratio.of([(seconds(ours), seconds(stock)) for _ in range(repeats)])


def seconds(function: Callable[[], Any], at_least: float = 0.03) -> float:
    """Wall-clock time of one run: the mean of as many as take ``at_least`` so many seconds.

    As many before them do not count. The first run after something else takes three times as long
    as the tenth, if it takes a millisecond: a core sleeps, and the memory is in no cache. (A run
    that takes longer than ``at_least`` has no such run before it: it hardly matters there.)
    """
    for _ in range(2):
        start = time.perf_counter()
        elapsed, runs = 0.0, 0
        while elapsed < at_least:
            function()
            runs += 1
            elapsed = time.perf_counter() - start
        if runs == 1:
            break
    return elapsed / runs


def best(function: Callable[[], Any], repeats: int = 25) -> float:
    """Wall-clock time of one run, in seconds, when the machine is least disturbed."""
    return min(seconds(function) for _ in range(repeats))


def use_threads(count: int = THREADS) -> None:
    """Let torch and OpenCV use so many threads."""
    import cv2
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers get three significant digits."""
    lines = [columns, ['---'] * len(columns), *rows]
    return '\n'.join(f'| {" | ".join(map(cell, line))} |' for line in lines) + '\n'


def ratio_table(ratios: dict[str, Ratio], targets: dict[str, float] | None = None) -> str:
    """A Markdown table of comparisons in milliseconds, and the goal of each ratio."""
    columns = ['', 'ours (ms)', 'stock (ms)', 'times as fast', 'lowest to highest']
    rows = [
        [name, 1e3 * r.ours_s, 1e3 * r.stock_s, r.ratio, f'{cell(r.lowest)} to {cell(r.highest)}']
        for name, r in ratios.items()
    ]
    if targets:
        columns.append('goal')
        rows = [[*row, targets.get(str(row[0]), '')] for row in rows]
    return table(columns, rows)


def cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f'{value:,.0f}' if abs(value) >= 100 else f'{value:.3g}'
