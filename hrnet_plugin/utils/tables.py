"""Tables in Markdown, aligned so that they read well in a terminal, too."""

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a Markdown table; numbers get three significant digits.

    >>> print(table(['', 'ms'], [['eager', 120.4], ['compiled', 8.0]]), end='')
    |          | ms  |
    | -------- | --- |
    | eager    | 120 |
    | compiled | 8   |
    """
    lines = [list(columns), *([cell(value) for value in row] for row in rows)]
    widths = [max(3, *map(len, values)) for values in zip(*lines)]
    lines.insert(1, ['-' * width for width in widths])
    padded = ([value.ljust(width) for value, width in zip(line, widths)] for line in lines)
    return ''.join(f'| {" | ".join(line)} |\n' for line in padded)


def cell(value: object) -> str:
    """Format a value, a number with three significant digits.

    >>> cell(1234.5), cell(0.12345), cell('eager')
    ('1,234', '0.123', 'eager')
    """
    if not isinstance(value, float):
        return str(value)
    return f'{value:,.0f}' if abs(value) >= 100 else f'{value:.3g}'
