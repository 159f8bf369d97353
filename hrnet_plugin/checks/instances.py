"""What the readers of annotation files have in common."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..utils.json_files import json_encoding
from ..utils.json_files import read_json as read
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
        content, encoding = read(path), json_encoding(path)
    except FileNotFoundError:
        findings.error(missing(path))
    except OSError as error:
        findings.error(f'the file cannot be read: {error.strerror}')
    except ValueError as error:
        findings.error(str(error).removeprefix(f'{path} '))
    else:
        if encoding != 'UTF-8':
            findings.error(
                f'the file is in {encoding}, which MMPose cannot read: save it as UTF-8 without '
                'a byte order mark'
            )
        return content
    return None


def missing(path: str | Path) -> str:
    """What to say of a file that does not exist."""
    where = '' if Path(path).is_absolute() else f', seen from the current folder, {Path.cwd()}'
    return f'the file does not exist{where}'


def numbers(rows: Sequence[Any], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of so many numbers as an array, and which rows are that.

    Returns:
        (N, length), NaN for null and where a row is something else; and (N,), boolean.
    """
    good = np.array([isinstance(r, (list, tuple)) and len(r) == length for r in rows], bool)
    table = np.full((len(rows), length), np.nan)
    some = [r for r, g in zip(rows, good) if g]
    try:
        values = np.array(some)
        if values.dtype.kind in 'biuf' and values.shape == (len(some), length):
            table[good] = values
            return table, good
    except ValueError:  # they are not of one shape
        pass
    for i in np.flatnonzero(good):  # one of them is not a number; which?
        try:
            if all(v is None or isinstance(v, (int, float)) for v in rows[i]):
                table[i] = np.array(rows[i], float)
            else:
                good[i] = False
        except OverflowError:
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
    if (counts == num_keypoints).any():
        metainfo = f"the dataset's metainfo and other annotations have {num_keypoints}"
        advice = (
            'MMPose takes all annotations of a file as one kind, of whatever category: put these '
            'into a file of their own'
        )
    else:
        metainfo = f"the dataset's metainfo has {num_keypoints}"
        advice = 'use the metainfo that belongs to these annotations'
    for k in np.unique(counts[counts != num_keypoints]):
        findings.errors(f'{k} keypoints, but {metainfo}; {advice}', 'annotation', ids[counts == k])
    return num_keypoints


def repeated(ids: Sequence[Any]) -> list[Any]:
    """Ids that occur more than once, each once."""
    return [i for i, times in Counter(ids).items() if times > 1]
