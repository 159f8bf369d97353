"""Report inputs that are skipped or cannot be read."""

import warnings


class InputReport:
    """Collect what users need to know about their inputs.

    Args:
        strict: Whether to raise at the first unreadable image or frame instead of recording it.
        quiet: Whether to issue no warnings, because the caller prints ``lines()``.

    Attributes:
        unreadable: One message for each image and video that could not be read completely.
        notes: For each message the names of the inputs that it is about.
    """

    def __init__(self, strict: bool = True, quiet: bool = False) -> None:
        self.strict = strict
        self.quiet = quiet
        self.unreadable: list[str] = []
        self.notes: dict[str, list[str]] = {}

    def fail(self, error: Exception) -> None:
        """Record an unreadable input; raise the error instead if the report is strict."""
        if self.strict:
            raise error
        self.unreadable.append(str(error))
        self._warn(f'skipped: {error}')

    def note(self, message: str, name: str) -> None:
        """Record a remark on the input ``name`` that is not a failure."""
        self.notes.setdefault(message, []).append(name)
        self._warn(f'{name}: {message}')

    def lines(self) -> list[str]:
        """Return notes and unreadable inputs as lines of text, each message once with a count."""
        lines = []
        for message, names in self.notes.items():
            more = f' and {len(names) - 1} more' if len(names) > 1 else ''
            lines.append(f'note: {names[0]}{more}: {message}')
        if self.unreadable:
            lines.append(f'{counted(len(self.unreadable), "input")} could not be read completely:')
            lines += [f'  {text}' for text in self.unreadable]
        return lines

    def _warn(self, text: str) -> None:
        if not self.quiet:
            warnings.warn(text, stacklevel=3)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(2, 'frame')
    '2 frames'
    """
    return f'{number} {noun}{"" if number == 1 else "s"}'
