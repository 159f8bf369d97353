"""What a check has found: each kind of problem once, with a few examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """One kind of problem.

    Attributes:
        is_error: it breaks a run or falsifies its results; else it is worth knowing.
        where: file, or part of the config.
        message: what is wrong, and how to mend it.
        count: how often; 0 if it is not a matter of numbers.
        examples: ids of the first few.
    """

    is_error: bool
    where: str
    message: str
    count: int = 0
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f'{self.where}: {self.message}'
        if not self.count:
            return text
        more = ', …' if self.count > len(self.examples) else ''
        return f'{text}: {self.count}x ({", ".join(self.examples)}{more})'


class Findings(list[Finding]):
    """Findings in one place."""

    def __init__(self, where: object) -> None:
        super().__init__()
        self.where = str(where)

    def error(self, message: str) -> None:
        self.append(Finding(True, self.where, message))

    def warn(self, message: str) -> None:
        self.append(Finding(False, self.where, message))

    def errors(self, message: str, what: str, ids: Sequence[Any] | np.ndarray) -> None:
        """An error of some things, ``what`` they are, with these ids; none if there are none."""
        self._add(True, message, what, ids)

    def warnings(self, message: str, what: str, ids: Sequence[Any] | np.ndarray) -> None:
        """The same as a warning."""
        self._add(False, message, what, ids)

    def _add(self, is_error: bool, message: str, what: str, ids: Any) -> None:
        if len(ids):
            examples = tuple(f'{what} {i}' for i in islice(ids, EXAMPLES))
            self.append(Finding(is_error, self.where, message, len(ids), examples))
