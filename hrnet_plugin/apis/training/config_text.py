"""Write a config as Python that reads well: sections of assignments, with comments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any

WIDTH = 99


class Code(str):
    """An expression of Python, such as the name of an earlier variable."""


@dataclass
class Section:
    """Assignments under a comment.

    Attributes:
        comment: Lines of the comment.
        values: Value of each variable.
    """

    comment: Iterable[str]
    values: dict[str, Any] = field(default_factory=dict)


def format_config(docstring: str, sections: Iterable[Section]) -> str:
    """Return the source of a config.

    Args:
        docstring: What the file is.
        sections: Its parts, in order.
    """
    parts = [f'"""{docstring}"""\n']
    for section in sections:
        lines = [f'# {line}' for line in section.comment]
        lines += [
            f'{name} = {literal(value, "", len(name) + 3)}'
            for name, value in section.values.items()
        ]
        parts.append('\n'.join(lines) + '\n')
    return '\n'.join(parts)


def literal(value: Any, indent: str = '', offset: int = 0) -> str:
    """Return a value as an expression of Python, on several lines where it is long.

    Args:
        value: Dicts, lists, tuples, ``Code`` and what has a ``repr`` that Python reads.
        indent: Indentation of the line that the expression begins on.
        offset: Characters on that line before the expression.

    >>> literal(dict(type='Adam', lr=5e-4))
    "dict(type='Adam', lr=0.0005)"
    >>> literal({0: dict(link=('tip', 'keel'))})
    "{0: dict(link=('tip', 'keel'))}"
    """
    flat = _flat(value)
    if len(indent) + offset + len(flat) < WIDTH or not _items(value):
        return flat
    inner = f'{indent}    '
    begin, end = _brackets(value)
    lines = [f'{inner}{key}{literal(item, inner, len(key) + 1)},\n' for key, item in _items(value)]
    return f'{begin}\n{"".join(lines)}{indent}{end}'


def _flat(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    if not isinstance(value, (Mapping, list, tuple)):
        return repr(value)
    begin, end = _brackets(value)
    parts = [f'{key}{_flat(item)}' for key, item in _items(value)]
    comma = ',' if isinstance(value, tuple) and len(parts) == 1 else ''
    return f'{begin}{", ".join(parts)}{comma}{end}'


def _is_call(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and k.isidentifier() and not iskeyword(k) for k in value)


def _brackets(value: Any) -> tuple[str, str]:
    if isinstance(value, Mapping):
        return ('dict(', ')') if _is_call(value) else ('{', '}')
    return ('[', ']') if isinstance(value, list) else ('(', ')')


def _items(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        sign = '{}=' if _is_call(value) else '{!r}: '
        return [(sign.format(key), item) for key, item in value.items()]
    return [('', item) for item in value] if isinstance(value, (list, tuple)) else []


def to_plain(value: Any) -> Any:
    """Return dicts, lists and tuples of MMEngine's configs as Python's own."""
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_plain(item) for item in value)
    return value
