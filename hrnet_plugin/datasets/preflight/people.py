"""What the readers of annotation files have in common."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .findings import Findings


class Image(NamedTuple):
    """A picture as annotations describe it; (w, h) in pixels, where they say it."""

    id: Any
    file_name: str
    size: tuple[int, int] | None


@dataclass
class People:
    """An annotation file.

    Attributes:
        findings: what is wrong with it.
        content: as JSON has it; None if it could not be read.
        usable: rows of the annotations that become samples.
        images: pictures of the usable people.
        image_ids: of all images that it lists.
    """

    findings: Findings
    content: Any = None
    usable: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    images: list[Image] = field(default_factory=list)
    image_ids: list[Any] = field(default_factory=list)

    def a_few(self, number: int) -> np.ndarray:
        """Some rows of usable people, spread over the file."""
        steps = np.linspace(0, len(self.usable) - 1, min(number, len(self.usable)))
        return self.usable[steps.round().astype(int)]


def read_json(path: str | Path, findings: Findings) -> Any:
    """The content of a JSON file, or None with a finding."""
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        findings.error(missing(path))
    except (ValueError, OSError) as error:
        findings.error(f'the file cannot be read as JSON: {error}')
    return None


def missing(path: str | Path) -> str:
    """What to say of a file that does not exist."""
    where = '' if Path(path).is_absolute() else f', seen from the current folder, {Path.cwd()}'
    return f'the file does not exist{where}'


def numbers(rows: Sequence[Any], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of so many numbers as an array, and which rows are that.

    Returns:
        (N, length), NaN where a row is something else; and (N,), boolean.
    """
    good = np.array([isinstance(r, (list, tuple)) and len(r) == length for r in rows], bool)
    table = np.full((len(rows), length), np.nan)
    try:
        table[good] = np.array([r for r, g in zip(rows, good) if g], float).reshape(-1, length)
    except (ValueError, TypeError):  # one of them is not a number; which?
        for i in np.flatnonzero(good):
            try:
                table[i] = np.array(rows[i], float)
            except (ValueError, TypeError):
                good[i] = False
    return table, good


def check_joints(
    findings: Findings,
    ids: np.ndarray,
    counts: np.ndarray,
    num_keypoints: int | None,
) -> int:
    """Whether all people have as many keypoints as the metainfo; returns how many to expect.

    Args:
        ids: (N,), of annotations.
        counts: (N,), keypoints of each.
    """
    if num_keypoints is None:
        return int(np.bincount(counts).argmax()) if len(counts) else 0
    for k in np.unique(counts[counts != num_keypoints]):
        findings.errors(
            f"{k} keypoints, but the dataset's metainfo has {num_keypoints}; use the metainfo "
            'that belongs to these annotations',
            'annotation',
            ids[counts == k],
        )
    return num_keypoints


def repeated(ids: Sequence[Any]) -> list[Any]:
    """Ids that occur more than once, each once."""
    return [i for i, times in Counter(ids).items() if times > 1]
