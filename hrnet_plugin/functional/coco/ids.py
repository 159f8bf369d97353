"""Ids of images, annotations and categories, which may be numbers or strings, as numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .schema import kind


def as_id(value: Any) -> Any:
    """Make ids comparable: convert a string of digits to its number.

    >>> as_id('000000000139'), as_id('a.jpg')
    (139, 'a.jpg')
    """
    value = value.item() if hasattr(value, 'item') else value
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def id_order(value: Any) -> tuple[bool, Any]:
    """Return a sort key of ids that puts numbers before strings."""
    return isinstance(value, str), value


def plain_ids(values: Any) -> np.ndarray:
    """Apply :func:`as_id` to ids (N,): int64 if all are whole numbers, else objects.

    Raises:
        ValueError: An id is neither a number nor a string.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in 'iu':
        return values.astype(np.int64, copy=False)
    keys = [as_id(value) for value in values]
    if all(type(key) is int and -(2**63) <= key < 2**63 for key in keys):
        return np.array(keys, dtype=np.int64)
    for key in keys:
        if not isinstance(key, (int, float, str)):
            raise ValueError(f'an id is {kind(key)}; expected a number or text')
    objects = np.empty(len(keys), dtype=object)
    objects[:] = keys
    return objects


class Ids:
    """Number distinct ids 0, 1, … in sorted order.

    Args:
        values: Ids (N,), which may repeat.
    """

    def __init__(self, values: Any) -> None:
        keys = plain_ids(values)
        self.are_integers = keys.dtype == np.int64
        self.values: Any = np.unique(keys) if self.are_integers else sorted({*keys}, key=id_order)

    def __len__(self) -> int:
        return len(self.values)

    def number(self, values: Any) -> np.ndarray:
        """Return the number of each id (N,), -1 for unknown ones."""
        keys = plain_ids(values)
        if not (self.are_integers and keys.dtype == np.int64):
            number_of = {key: n for n, key in enumerate(self.values)}
            return np.array([number_of.get(key, -1) for key in keys], dtype=np.int64)
        if not len(self) or not len(keys):
            return np.full(len(keys), -1)
        # Detections of one image usually follow each other: search once for each run.
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        firsts = keys[starts]
        numbers = np.minimum(np.searchsorted(self.values, firsts), len(self) - 1)
        numbers = np.where(self.values[numbers] == firsts, numbers, -1)
        return np.repeat(numbers, np.diff(np.r_[starts, len(keys)]))


@dataclass(frozen=True)
class Groups:
    """Number the pairs of a category and an image: instances are only matched within one."""

    images: Ids
    categories: Ids

    def number(self, images: np.ndarray, categories: np.ndarray) -> np.ndarray:
        """Return the group (N,) of numbered images and categories, -1 where either is -1."""
        known = (images >= 0) & (categories >= 0)
        return np.where(known, categories * len(self.images) + images, -1)

    def category(self, group: np.ndarray) -> np.ndarray:
        """Return the number of the category of each group."""
        return group // max(1, len(self.images))

    def __len__(self) -> int:
        return len(self.images) * len(self.categories)
