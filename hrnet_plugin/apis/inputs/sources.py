"""Open inputs: images, folders, patterns, arrays, videos and cameras."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np

from ...utils.errors import unknown_name
from .file_names import distinct_names
from .folders import UNSUPPORTED, is_video, list_folder, list_pattern
from .images import IMAGES, Images
from .report import InputReport, counted
from .video import Video

MAX_LISTED = 20  # files of a folder among which an error looks for the closest name
Source: TypeAlias = Images | Video


def open_inputs(inputs: Any, report: InputReport | None = None) -> Source:
    """Open the inputs of one call, and check what is cheap to check.

    Args:
        inputs: A path, URL or pattern of images (``'shots/*.jpg'``), a folder, an array
            (h, w, 3), BGR uint8, or a list of these; one video; ``'webcam'`` or ``'webcam:1'``;
            or a source that is open already.
        report: Report that takes what is skipped; by default it warns, and raises what cannot be
            read.

    Returns:
        The source, which is read when it is iterated over.

    Raises:
        OSError: An input does not exist or cannot be opened.
        TypeError: An input is neither a path nor an array.
        ValueError: An input is not an image, or an array of another shape or type.
    """
    if isinstance(inputs, Images | Video):
        return inputs
    report = report or InputReport()
    if isinstance(inputs, str | Path):
        text = str(inputs)
        if text.lower().split(':')[0] == 'webcam' and not Path(text).exists():
            return Video(_camera(text), 'webcam.mp4', report)
        if is_video(text) and not _is_pattern(text):
            return _open_video(text, report)
    items = _flat(inputs, report)
    for item in items:
        _check(item, report)
    return Images(items, report)


def open_sources(
    inputs: Sequence[str], report: InputReport, recursive: bool = False
) -> list[Source]:
    """Open images and videos, each file once: all images as one source, then each video.

    Their labels are distinct, so that their results and output files are.

    Args:
        inputs: Paths, URLs or patterns of images and videos, and folders of them.
        report: Report that takes what is skipped, and videos that cannot be opened.
        recursive: Whether to list subfolders, too.

    Returns:
        The sources.

    Raises:
        OSError: An input does not exist.
        ValueError: An input is neither an image nor a video, or nothing can be read.
    """
    listed = [path for text in inputs for path in _listed(text, report, recursive, videos=True)]
    paths = list({os.path.abspath(path): path for path in listed}.values())
    if len(paths) < len(listed):
        duplicates = counted(len(listed) - len(paths), 'file')
        report.note(f'{duplicates} given more than once, and read once', 'inputs')
    images: list[str | np.ndarray] = [path for path in paths if not is_video(path)]
    for image in images:
        _check(image, report)
    sources: list[Source] = [Images(images, report)] if images else []
    for path in paths:
        if is_video(path):
            try:
                sources.append(_open_video(path, report))
            except FileNotFoundError:
                raise
            except OSError as error:
                report.fail(error)
    if not sources:
        raise ValueError(f'none of the inputs can be read: {"; ".join(report.unreadable)}')
    labels = iter(distinct_names([name for source in sources for name in source.names]))
    for source in sources:
        source.labels = [next(labels) for _ in source.names]
    return sources


def _open_video(path: str, report: InputReport) -> Video:
    if not Path(path).is_file():
        raise FileNotFoundError(_why_missing(path))
    return Video(path, path, report)


def _camera(text: str) -> int:
    number = text.partition(':')[2]
    if text.lower() != 'webcam' and not number.isdecimal():
        raise ValueError(f'{text!r} is not a camera; expected webcam, or webcam:1 for the second')
    return int(number or 0)


def _is_pattern(text: str) -> bool:
    return glob.has_magic(text) and not Path(text).exists() and '://' not in text


def _flat(inputs: Any, report: InputReport) -> list[str | np.ndarray]:
    """Return paths and arrays, with folders and patterns expanded."""
    if isinstance(inputs, np.ndarray):
        return [inputs]
    if isinstance(inputs, Sequence) and not isinstance(inputs, str):
        return [item for part in inputs for item in _flat(part, report)]
    if not isinstance(inputs, str | Path):
        raise TypeError(
            f'inputs contain a {type(inputs).__name__}; expected paths, arrays or lists of them'
        )
    return [*_listed(str(inputs), report)]


def _listed(
    text: str, report: InputReport, recursive: bool = False, videos: bool = False
) -> list[str]:
    """Return the paths of one input."""
    if not text:
        raise ValueError("an input is ''; expected a path")
    if Path(text).is_dir():
        return list_folder(text, report, recursive, videos)
    if _is_pattern(text):
        return list_pattern(text, report, recursive, videos)
    return [text]


def _check(item: str | np.ndarray, report: InputReport) -> None:
    if isinstance(item, np.ndarray):
        if item.ndim != 3 or item.shape[2] != 3 or item.dtype != np.uint8 or 0 in item.shape:
            raise ValueError(
                f'an input is an array of shape {item.shape} and type {item.dtype}; expected an '
                'image (height, width, 3), BGR, uint8'
            )
        return
    if '://' in item:
        return  # fetched when it is read
    path = Path(item)
    if not path.is_file():
        raise FileNotFoundError(_why_missing(item))
    if is_video(item):
        raise ValueError(f'{item} is a video: give it by itself, not in a list')
    # This looks at the first bytes only; a truncated file is noticed when it is read.
    if not cv2.haveImageReader(str(path)):
        if not report.strict and path.suffix.lower() in IMAGES:
            return  # reported when it is read
        hint = '; convert it to .jpg or .png' if path.suffix.lower() in UNSUPPORTED else ''
        raise ValueError(f'{item} is not an image that OpenCV can read{hint}')


def _why_missing(item: str) -> str:
    path = Path(item)
    folder = path.parent
    if '://' in item:
        return f'{item} is the URL of a video: download it first'
    if path.exists():
        return (
            f'{item} is {"a folder" if path.is_dir() else "not a regular file"}; expected a file'
        )
    if folder.exists() and not folder.is_dir():
        return f'{item} does not exist: {folder} is a file, not a folder'
    if not folder.is_dir():
        return f'{item} does not exist: there is no folder {folder}'
    names = [p.name for p in folder.iterdir()]
    if len(names) > MAX_LISTED:
        return f'{item} does not exist; {folder} has {len(names)} other files'
    return unknown_name(f'file in {folder}', path.name, sorted(names))
