"""What checks of annotation files share: what they return, and how they read."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..utils.json_files import json_encoding
from ..utils.json_files import read_json as read
from .findings import Findings


class ImageRecord(NamedTuple):
    """An image as annotations describe it.

    Attributes:
        id: Its id.
        file_name: Its path, relative to the folder of images.
        size: (w, h) in pixels; None if the annotations do not say it.
    """

    id: Any
    file_name: str
    size: tuple[int, int] | None


@dataclass
class AnnotatedInstances:
    """The instances of an annotation file, and what is wrong with it.

    Attributes:
        findings: What is wrong with the file.
        content: The file as JSON has it; None if it could not be read.
        usable: Rows (N,) of the annotations that become samples.
        images: The images of the usable instances.
        image_ids: The ids of all images that the file lists.
    """

    findings: Findings
    content: Any = None
    usable: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    images: list[ImageRecord] = field(default_factory=list)
    image_ids: list[Any] = field(default_factory=list)

    def spread_rows(self, number: int) -> np.ndarray:
        """Return rows of at most ``number`` usable instances, spread over the file."""
        steps = np.linspace(0, len(self.usable) - 1, min(number, len(self.usable)))
        return self.usable[steps.round().astype(int)]

    def a_few(self, number: int) -> np.ndarray:
        """Return what :meth:`spread_rows` does: its former name."""
        warnings.warn(
            'a_few is now spread_rows; the former name goes with the next release',
            DeprecationWarning,
            stacklevel=2,
        )
        return self.spread_rows(number)


def read_json(path: str | Path, findings: Findings) -> Any:
    """Return the content of a JSON file, or None with a finding."""
    try:
        content, encoding = read(path), json_encoding(path)
    except FileNotFoundError:
        findings.error(missing_file(path))
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


def missing_file(path: str | Path) -> str:
    """Word an error about a file that does not exist."""
    where = '' if Path(path).is_absolute() else f', seen from the current folder, {Path.cwd()}'
    return f'the file does not exist{where}'


def check_keypoint_counts(
    findings: Findings,
    ids: np.ndarray,
    counts: np.ndarray,
    num_keypoints: int | None,
) -> int:
    """Check whether all instances have as many keypoints as the metainfo.

    Args:
        findings: Where what is wrong is added.
        ids: The ids (N,) of the annotations.
        counts: Their numbers (N,) of keypoints.
        num_keypoints: K of the metainfo; None if it is not known.

    Returns:
        K; where it is not known, the commonest count.
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
    """Return the ids that occur more than once, each once."""
    return [i for i, times in Counter(ids).items() if times > 1]
