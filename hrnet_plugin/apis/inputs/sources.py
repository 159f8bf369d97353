"""What people are looked for in: pictures, folders, patterns, arrays, a video or a camera."""

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from ...utils.errors import unknown_name
from .containers import is_truncated
from .file_names import distinct_names
from .folders import FOREIGN, is_video, list_folder, list_pattern
from .image_file import IMAGES, read_image
from .report import InputReport, counted

FPS = 30.0  # of pictures that follow each other, and of cameras that do not say
HIGH_FPS = 120.0  # Above it, a container may state the unit of its time stamps instead.
EXACT_COUNT = ('.avi', '.m4v', '.mov', '.mp4')  # Others state a duration; the count is estimated.
# How many consecutive frames may be damaged: as many as the container still counts, within limits.
MIN_PATIENCE, MAX_PATIENCE = 8, 100_000


@dataclass
class Frame:
    """One picture.

    Attributes:
        index: its place among the inputs, from 0.
        name: the file's; of arrays and frames of a video a made-up one, as MMPose makes it up.
        image: (h, w, 3) BGR uint8.
        timestamp: of frames of a video, seconds from its beginning, as its container says.
    """

    index: int
    name: str
    image: np.ndarray
    timestamp: float | None = None


@dataclass
class Images:
    """Pictures, each by itself.

    Attributes:
        items: paths, addresses or arrays (h, w, 3), BGR uint8.
        report: takes those that cannot be read.
    """

    items: list[str | np.ndarray]
    report: InputReport = field(default_factory=InputReport)
    fps: float = FPS
    is_video: bool = False
    is_live: bool = False
    names: list[str] = field(init=False)
    _labels: list[str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.names = [
            item if isinstance(item, str) else numbered(i) for i, item in enumerate(self.items)
        ]

    @property
    def labels(self) -> list[str]:
        """What results and their files are called after: relative paths, none of them equal.

        Raises:
            ValueError: a file is given twice.
        """
        if self._labels is None:
            self._labels = distinct_names(self.names)
        return self._labels

    @labels.setter
    def labels(self, labels: list[str]) -> None:
        self._labels = labels

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Frame]:
        for i, (item, name) in enumerate(zip(self.items, self.names)):
            try:
                image = read_image(item, self.report) if isinstance(item, str) else item
            except (OSError, ValueError) as error:
                self.report.fail(error)
                continue
            yield Frame(i, name, image)


@dataclass
class Video:
    """A video file, or with a number for a path a camera.

    Damaged frames are left out and reported; frames after them keep their numbers.

    Attributes:
        name: what results are called after.
        report: takes frames that cannot be read.
        fps: pictures a second, on average.
        length: how many pictures, as far as the file tells; 0 if it does not.
        labels: the one name that results and files are called after.

    Raises:
        OSError: it cannot be opened.
    """

    path: str | int
    name: str
    report: InputReport = field(default_factory=InputReport)
    is_video: bool = True

    def __post_init__(self) -> None:
        self.is_live = isinstance(self.path, int)
        self.labels = [Path(self.name).name]
        with closing(_Capture(self.path)) as capture:
            fps = capture.get(cv2.CAP_PROP_FPS)
            self.fps = fps if fps > 0 else FPS
            self.length = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            if self.is_live:
                return
            if capture.read_past(self._patience(0))[1] is None:
                raise OSError(f'{self.path} has no picture that OpenCV can read')
            if self.fps > HIGH_FPS:
                self.fps = capture.measured_fps() or self.fps

    @property
    def names(self) -> list[str]:
        return [self.name]

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        index = read = missing = 0
        timestamp = -1 / self.fps
        damaged: list[int] = []
        with closing(_Capture(self.path)) as capture:
            try:
                while True:
                    failures, image = capture.read_past(self._patience(index))
                    if image is None:
                        break
                    damaged += range(index, index + failures)
                    if failures and self.report.strict:
                        self.report.fail(ValueError(self._unread(read, damaged, 0)))
                    index += failures
                    now = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                    # Cameras, and containers without time stamps, always say 0.
                    timestamp = now if now > timestamp else timestamp + 1 / self.fps
                    yield Frame(index, numbered(index), image, timestamp)
                    index, read = index + 1, read + 1
                missing = self._missing(index, timestamp)
            finally:  # also if nobody asks for the rest
                if not (damaged and self.report.strict):
                    self._report(read, damaged, missing)

    def _patience(self, index: int) -> int:
        """How many frames may be damaged from this one on."""
        if self.is_live:
            return 0
        return min(max(self.length - index, MIN_PATIENCE), MAX_PATIENCE)

    def _missing(self, index: int, timestamp: float) -> int:
        """How many frames the container promises beyond the last one, number ``index - 1``.

        Capturing programs that drop frames, and MP4 files trimmed by an edit list, count frames
        that are not there; their time stamps reach the end all the same.
        """
        if self.is_live or not self.length:
            return 0
        missing = float(self.length - index)
        if index == 1 or timestamp > 0:
            missing = min(missing, self.length - 1 - timestamp * self.fps)
        exact = Path(str(self.path)).suffix.lower() in EXACT_COUNT
        tolerance = 0.5 if exact else max(1.5, 0.01 * self.length)
        return round(missing) if missing > tolerance else 0

    def _report(self, read: int, damaged: list[int], missing: int) -> None:
        text = self._unread(read, damaged, missing)
        path = str(self.path)
        if damaged or (missing and (path.lower().endswith('.avi') or is_truncated(path))):
            self.report.fail(ValueError(text))
        elif missing:
            self.report.note(
                f'{read} of the {self.length} frames that its header counts were read; the others '
                'are damaged, or were cut off with an edit list',
                path,
            )

    def _unread(self, read: int, damaged: list[int], missing: int) -> str:
        """Word which frames cannot be read."""
        problems = []
        if damaged:
            frames = 'frame' if len(damaged) == 1 else 'frames'
            problems.append(f'{frames} {spans(damaged)} cannot be decoded')
        if missing:
            problems.append(
                f'it ends {counted(missing, "frame")} early: the file is cut short or damaged'
            )
        total = max(self.length, read + len(damaged))
        return f'{self.path}: {read} of {total} frames were read; {"; ".join(problems)}'


class _Capture:
    """OpenCV's, which has to be there and can be closed."""

    def __init__(self, path: str | int) -> None:
        self.capture = cv2.VideoCapture(path)
        self.get, self.read, self.close = (
            self.capture.get,
            self.capture.read,
            self.capture.release,
        )
        if not self.capture.isOpened():
            if isinstance(path, int):
                raise OSError(f'camera {path} cannot be opened by OpenCV: there is no such camera')
            why = 'it is cut short' if is_truncated(path) else 'it is no video, or damaged'
            raise OSError(f'{path} cannot be opened by OpenCV: {why}')

    def read_past(self, patience: int) -> tuple[int, np.ndarray | None]:
        """Read the next frame, past up to ``patience`` damaged ones.

        Returns:
            How many were damaged; and the frame (h, w, 3), BGR, or None at the end.
        """
        for failures in range(patience + 1):
            there, image = self.read()
            if there:
                return failures, image
        return 0, None

    def measured_fps(self, frames: int = 10) -> float:
        """Return frames per second by the next frames' time stamps; 0 if there are none."""
        times: list[float] = []
        while len(times) < frames and self.read()[0]:
            times.append(self.get(cv2.CAP_PROP_POS_MSEC))
        steps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
        return 1000 / median(steps) if steps else 0.0


Source = Images | Video


def open_inputs(inputs: Any, report: InputReport | None = None) -> Source:
    """Find out what somebody gave, and check what is cheap to check.

    Args:
        inputs: a path, address or pattern (``'shots/*.jpg'``), an array, a folder, or a list of
            these; or one video; or ``'webcam'``, ``'webcam:1'``; or what this returned before.
        report: takes what is left out; if not given, one that issues warnings and raises.

    Raises:
        OSError: something is not there.
        ValueError: something is no picture, or an array of another form.
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
    """Open several inputs, each file once: all images as one source, then each video.

    Their labels are distinct, so that results and files of none can be taken for another's.

    Args:
        inputs: paths, addresses or patterns of images and videos, and folders of them.
        report: takes what is left out, and videos that cannot be opened.
        recursive: look into subfolders, too.

    Raises:
        OSError: something is not there.
        ValueError: something is no image or video, or nothing can be read.
    """
    listed = [path for text in inputs for path in _listed(text, report, recursive, videos=True)]
    paths = list({os.path.abspath(path): path for path in listed}.values())
    if len(paths) < len(listed):
        twice = counted(len(listed) - len(paths), 'file')
        report.note(f'{twice} given more than once, and read once', 'inputs')
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


def numbered(index: int) -> str:
    """The name of a picture that has none: ``000012.jpg``."""
    return f'{index:06}.jpg'


def spans(numbers: Sequence[int]) -> str:
    """Word increasing numbers shortly.

    >>> spans([3, 5, 6, 7])
    '3, 5-7'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    texts = ['-'.join(map(str, run)) for run in runs]
    return ', '.join([*texts[:10], *['…'] * (len(texts) > 10)])


def _open_video(path: str, report: InputReport) -> Video:
    if not Path(path).is_file():
        raise FileNotFoundError(_missing(path))
    return Video(path, path, report)


def _camera(text: str) -> int:
    number = text.partition(':')[2]
    if text.lower() != 'webcam' and not number.isdecimal():
        raise ValueError(f'{text!r} names no camera; expected webcam, or webcam:1 for the second')
    return int(number or 0)


def _is_pattern(text: str) -> bool:
    return glob.has_magic(text) and not Path(text).exists() and '://' not in text


def _flat(inputs: Any, report: InputReport) -> list[str | np.ndarray]:
    """Paths and arrays, with folders and patterns spelt out."""
    if isinstance(inputs, np.ndarray):
        return [inputs]
    if isinstance(inputs, Sequence) and not isinstance(inputs, str):
        return [item for part in inputs for item in _flat(part, report)]
    if not isinstance(inputs, str | Path):
        raise TypeError(
            f'inputs have a {type(inputs).__name__}; expected paths, arrays or lists of them'
        )
    return [*_listed(str(inputs), report)]


def _listed(
    text: str, report: InputReport, recursive: bool = False, videos: bool = False
) -> list[str]:
    """Paths of one input."""
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
                f'an array of shape {item.shape} and type {item.dtype} was given; expected a '
                'picture (height, width, 3), BGR, uint8'
            )
        return
    if '://' in item:
        return  # fetched when its turn comes
    path = Path(item)
    if not path.is_file():
        raise FileNotFoundError(_missing(item))
    if is_video(item):
        raise ValueError(f'{item} is a video; give one by itself, not in a list')
    # Looks at the first bytes only; what is cut short shows when it is read.
    if not cv2.haveImageReader(str(path)):
        if not report.strict and path.suffix.lower() in IMAGES:
            return  # reported when its turn comes
        mend = '; convert it to .jpg or .png' if path.suffix.lower() in FOREIGN else ''
        raise ValueError(f'{item} is no picture that OpenCV can read{mend}')


def _missing(item: str) -> str:
    path = Path(item)
    folder = path.parent
    if '://' in item:
        return f'{item} is the address of a video, which is not fetched; download it first'
    if path.exists():
        return f'{item} is {"a folder" if path.is_dir() else "no file"}; expected a file'
    if folder.exists() and not folder.is_dir():
        return f'{item} does not exist: {folder} is a file, no folder'
    if not folder.is_dir():
        return f'{item} does not exist: there is no folder {folder}'
    names = [p.name for p in folder.iterdir()]
    if len(names) > 20:
        return f'{item} does not exist; {folder} has {len(names)} other files'
    return f'{unknown_name(f"file in {folder}", path.name, sorted(names))}'
