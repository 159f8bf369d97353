"""Names and shapes of the published backbones, read from the models themselves.

Models are built on the meta device, without memory, and only when a checkpoint has to be compared
with them.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from typing import Any

import torch

from ..models.families import FAMILIES

Shapes = dict[str, tuple[int, ...]]

WINDOW = 7  # side of the attention windows of published architectures

# Counters, which torch < 0.4.1 did not write
COUNTER = re.compile(r'.*\.num_batches_tracked')
# Layers of other norms are named by their kind, as BatchNorm's are: gn1, where a model has bn1.
OTHER_NORM = re.compile(r'(gn|ln|in)(?=\d?$)')


@cache
def _shapes(family: str, arch: str, window: int = WINDOW) -> Shapes:
    options = {} if window == WINDOW else dict(window=window)
    with torch.device('meta'):
        model = FAMILIES[family].build(arch, multiscale_output=True, **options)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


@cache
def published_shapes(family: str, arch: str, window: int = WINDOW) -> Shapes:
    """Return names and shapes of a published backbone, with its optional rows, without counters.

    Args:
        family: Key of ``FAMILIES``.
        arch: Key of its ``archs``.
        window: Side of the attention windows, of families that have some.

    Returns:
        The shape of each tensor by its name, which begins with ``backbone.``.
    """
    return {
        f'backbone.{name}': shape
        for name, shape in _shapes(family, arch, window).items()
        if not COUNTER.fullmatch(name)
    }


@cache
def _kinds() -> tuple[tuple[str, str], ...]:
    """Return family and name of the smallest row of each kind.

    Rows that differ in numbers only name their tensors alike, so that one of them will do.
    """
    smallest: dict[tuple[str, ...], tuple[float, str]] = {}
    for family in FAMILIES.values():
        for name, arch in family.archs.items():
            values = tuple(asdict(arch).values())
            kind = (family.name, *(value for value in values if isinstance(value, str)))
            row = (sum(_numbers(values)), name)
            smallest[kind] = min(smallest.get(kind, row), row)
    return tuple((kind[0], name) for kind, (_, name) in smallest.items())


def _numbers(values: tuple[Any, ...]) -> Iterable[float]:
    """Yield the numbers in nested tuples."""
    for value in values:
        if isinstance(value, tuple):
            yield from _numbers(value)
        elif isinstance(value, (int, float)):
            yield value


def words_of(names: Iterable[str]) -> frozenset[str]:
    """Split names at the dots; leave out numbers, and take every norm for BatchNorm.

    >>> sorted(words_of(['stage2.0.gn1.weight']))
    ['bn1', 'stage2', 'weight']
    """
    parts = {part for name in names for part in name.split('.')}
    return frozenset(OTHER_NORM.sub('bn', part) for part in parts if not part.isdecimal())


@cache
def _words(family: str, arch: str) -> frozenset[str]:
    return words_of(_shapes(family, arch))


def vocabulary(family: str) -> frozenset[str]:
    """Return the words of which names of a family's tensors consist; see :func:`words_of`."""
    return frozenset().union(*(_words(*kind) for kind in _kinds() if kind[0] == family))


def is_backbone_name(name: str) -> bool:
    """Return whether each word of a name is of some family; ``name`` has no ``backbone.``."""
    return all(any(word in _words(*kind) for kind in _kinds()) for word in words_of([name]))


def find_family(names: Iterable[str]) -> str:
    """Return the family that a backbone's names are from.

    Args:
        names: Names of tensors, without ``backbone.``.

    Returns:
        The first family that has all their words, or the one that lacks the fewest.
    """
    words = words_of(names)
    complete = (family for family, arch in _kinds() if words <= _words(family, arch))
    return next(complete, None) or min(FAMILIES, key=lambda f: len(words - vocabulary(f)))
