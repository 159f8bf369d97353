"""Fair timing: functions by turns, with warm-up."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

# Seconds before a turn: for 50 ms after a run, threads of ONNX Runtime go on looking for work,
# and take the cores from what runs next.
PAUSE = 0.1


def seconds(function: Callable[[], Any], at_least: float = 0.03) -> float:
    """Measure the wall-clock time of one run.

    As many runs come before for warm-up: after other work, a first run of a millisecond takes
    three times as long as the tenth, with a core asleep and cold caches. Runs longer than
    ``at_least`` have no warm-up: it hardly matters there.

    Args:
        function: A function without arguments.
        at_least: How many seconds of runs are averaged.

    Returns:
        Seconds of one run.
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


def by_turns(
    functions: Sequence[Callable[[], Any]],
    repeats: int,
    warm_up: int = 1,
    at_most: float = math.inf,
) -> list[tuple[float, ...]]:
    """Time functions by turns, so that other load of the machine affects all alike.

    A tenth of a second of rest comes before each turn.

    Args:
        functions: Functions without arguments.
        repeats: How many turns of each are measured.
        warm_up: How many runs of each come before them.
        at_most: Seconds after which no further round of turns begins; the first always does.

    Returns:
        Seconds of one run of each function, in each round of turns.
    """
    for _ in range(warm_up):
        for function in functions:
            function()
    start = time.perf_counter()
    rounds: list[tuple[float, ...]] = []
    while not rounds or (len(rounds) < repeats and time.perf_counter() - start < at_most):
        turns = []
        for function in functions:
            time.sleep(PAUSE)
            turns.append(seconds(function))
        rounds.append(tuple(turns))
    return rounds
