"""What a check returns: each kind of problem once, with its number and a few examples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..utils.errors import count_examples

EXAMPLES = 3

Result = TypeVar('Result')


@dataclass(frozen=True)
class Finding:
    """One kind of problem.

    Attributes:
        is_error: Whether it breaks a run or falsifies its results; else it is a warning.
        where: The file, or the part of the config.
        message: What is wrong, and how to mend it.
        count: How many things have the problem; 0 where there is nothing to count.
        examples: The first few of them.
    """

    is_error: bool
    where: str
    message: str
    count: int = 0
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f'{self.where}: {self.message}'
        return f'{text}: {count_examples(self.count, self.examples)}' if self.count else text


class Findings(list[Finding]):
    """The findings of a check.

    Args:
        where: The file, or the part of the config, that the check is about.
    """

    def __init__(self, where: object) -> None:
        super().__init__()
        self.where = str(where)

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error."""
        return any(finding.is_error for finding in self)

    def error(self, message: str) -> None:
        """Add an error."""
        self.append(Finding(True, self.where, message))

    def warn(self, message: str) -> None:
        """Add a warning."""
        self.append(Finding(False, self.where, message))

    def errors(self, message: str, what: str, ids: Sequence[Any] | np.ndarray) -> None:
        """Add an error of several things, if there are any.

        Args:
            message: What is wrong with each of them.
            what: What they are, such as ``'image'``.
            ids: Their ids.
        """
        self.add(True, message, what, ids)

    def warnings(self, message: str, what: str, ids: Sequence[Any] | np.ndarray) -> None:
        """Add a warning of several things, if there are any; arguments as for :meth:`errors`."""
        self.add(False, message, what, ids)

    def add(
        self, is_error: bool, message: str, what: str, ids: Sequence[Any] | np.ndarray
    ) -> None:
        """Add an error or a warning of several things, if there are any."""
        if len(ids):
            examples = tuple(f'{what} {i}' for i in ids[:EXAMPLES])
            self.append(Finding(is_error, self.where, message, len(ids), examples))

    def attempt(self, make: Callable[[], Result], failure: str) -> Result | None:
        """Call a function that may run users' own code, and turn any exception into an error.

        Args:
            make: A function without arguments.
            failure: What to say if it raises, before the exception's own message.

        Returns:
            Its result; None if it raised.
        """
        try:
            return make()
        except Exception as error:
            text = ' '.join(str(error).split())
            if not (isinstance(error, ValueError) and text):
                text = f'{type(error).__name__}: {text}'
            self.error(f'{failure}: {text}')
            return None
