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
from torch import nn

from ..models.families import FAMILIES, Family

Shapes = dict[str, tuple[int, ...]]

# Counters, which torch < 0.4.1 did not write
COUNTER = re.compile(r'.*\.num_batches_tracked')
# Layers of other norms are named by their kind, as BatchNorm's are: gn1, where a model has bn1.
OTHER_NORM = re.compile(r'(gn|ln|in)(?=\d?$)')


@cache
def published_shapes(family: str, arch: str) -> Shapes:
    """Return names and shapes of a published backbone, with its optional rows, without counters.

    Args:
        family: Key of ``FAMILIES``.
        arch: Key of its ``archs``.

    Returns:
        The shape of each tensor by its name, which begins with ``backbone.``.
    """
    state = _build(FAMILIES[family], arch).state_dict()
    return {
        f'backbone.{name}': tuple(tensor.shape)
        for name, tensor in state.items()
        if not COUNTER.fullmatch(name)
    }


def _build(family: Family, arch: str) -> nn.Module:
    with torch.device('meta'):
        try:
            return family.build(arch, multiscale_output=True)
        except TypeError:  # the family has no such option
            return family.build(arch)


@cache
def vocabulary(family: str) -> frozenset[str]:
    """Return the words of which names of a family's tensors consist; see :func:`words_of`.

    Rows that differ in numbers only name their tensors alike: the smallest of them is built.
    """
    smallest: dict[tuple[Any, ...], tuple[float, str]] = {}
    for name, arch in FAMILIES[family].archs.items():
        values = asdict(arch)
        kind = tuple(value for value in values.values() if isinstance(value, str))
        size = sum(_numbers(tuple(values.values())))
        smallest[kind] = min(smallest.get(kind, (size, name)), (size, name))
    names = (_build(FAMILIES[family], name).state_dict() for _, name in smallest.values())
    return frozenset().union(*map(words_of, names))


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


def find_family(names: Iterable[str]) -> str:
    """Return the family that a backbone's names are from.

    Args:
        names: Names of tensors, without ``backbone.``.

    Returns:
        The first family that has all their words, or the one that lacks the fewest.
    """
    words = words_of(names)
    complete = (family for family in FAMILIES if words <= vocabulary(family))
    return next(complete, None) or min(FAMILIES, key=lambda f: len(words - vocabulary(f)))
