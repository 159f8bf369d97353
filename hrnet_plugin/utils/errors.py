"""Wording of error messages."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def unknown_name(what: str, name: object, valid: Iterable[object]) -> str:
    """Word an error about an unknown name, with the closest valid one.

    Args:
        what: The kind of thing that the name is for, such as ``'arch'``.
        name: The unknown name.
        valid: The valid names.

    >>> unknown_name('arch', 'w23', ['w18', 'w32'])
    "unknown arch 'w23'; did you mean 'w32'? Valid: 'w18', 'w32'"
    """
    names = [str(v) for v in valid]
    if not names:
        return f'unknown {what} {str(name)!r}; there is none'
    close = get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f' did you mean {close[0]!r}?' if close else ''
    return f'unknown {what} {str(name)!r};{hint} Valid: {", ".join(map(repr, names))}'


def count_examples(count: int, examples: Sequence[str]) -> str:
    """Say how many things a problem has, with the first few of them.

    >>> count_examples(4, ['image 1', 'image 7'])
    '4x (image 1, image 7, …)'
    """
    return f'{count}x ({", ".join(examples)}{", …" if count > len(examples) else ""})'
