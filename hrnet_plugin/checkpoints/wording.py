"""Wording of notes and errors about tensors."""

from collections.abc import Mapping, Sequence


def listed(names: Mapping[str, object] | Sequence[str], most: int = 4) -> str:
    """Join the first names for a message."""
    first = list(names)[:most]
    return ', '.join(first) + (', …' if len(names) > most else '')


def count(tensors: Sequence[object]) -> str:
    """Return the number of tensors in words."""
    return '1 tensor' if len(tensors) == 1 else f'{len(tensors)} tensors'
