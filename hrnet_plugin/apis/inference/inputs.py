"""What people are looked for in: pictures, folders, patterns, arrays, a video or a camera."""

import glob
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from mmengine import fileio

from ...errors import unknown_name

IMAGES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv')
FPS = 30.0  # of pictures that follow each other, and of cameras that do not say


@dataclass
class Frame:
    """One picture.

    Attributes:
        index: its place among the inputs, from 0.
        name: the file's; of arrays and frames of a video a made-up one, as MMPose makes it up.
        image: (h, w, 3) BGR uint8.
    """

    index: int
    name: str
    image: np.ndarray


@dataclass
class Images:
    """Pictures, each by itself.

    Attributes:
        items: paths, addresses or arrays (h, w, 3), BGR uint8.
    """

    items: list[str | np.ndarray]
    fps: float = FPS
    is_video: bool = False
    is_live: bool = False
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = [
            item if isinstance(item, str) else numbered(i) for i, item in enumerate(self.items)
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Frame]:
        for i, (item, name) in enumerate(zip(self.items, self.names)):
            yield Frame(i, name, read_image(item) if isinstance(item, str) else item)


@dataclass
class Video:
    """A video file, or with a number for a path a camera.

    Attributes:
        name: what results are called after.
        fps: pictures a second.
        length: how many pictures, as far as the file tells; 0 if it does not.

    Raises:
        OSError: it cannot be opened.
    """

    path: str | int
    name: str
    is_video: bool = True

    @property
    def names(self) -> list[str]:
        return [self.name]

    def __post_init__(self) -> None:
        self.is_live = isinstance(self.path, int)
        with closing(_Capture(self.path)) as capture:
            self.fps = capture.get(cv2.CAP_PROP_FPS) or FPS
            self.length = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            if not self.is_live and not capture.read()[0]:
                raise OSError(f'{self.path} has no picture that OpenCV can read')

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        with closing(_Capture(self.path)) as capture:
            index = 0
            while True:
                there, image = capture.read()
                if not there:
                    return
                yield Frame(index, numbered(index), image)
                index += 1


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
            what = f'camera {path}' if isinstance(path, int) else path
            raise OSError(f'{what} cannot be opened by OpenCV: no video, or no such camera')


Source = Images | Video


def open_inputs(inputs: Any) -> Source:
    """Find out what somebody gave, and check what is cheap to check.

    Args:
        inputs: a path, address or pattern (``'shots/*.jpg'``), an array, a folder, or a list of
            these; or one video; or ``'webcam'``, ``'webcam:1'``; or what this returned before.

    Raises:
        OSError: something is not there.
        ValueError: something is no picture, or an array of another form.
    """
    if isinstance(inputs, Images | Video):
        return inputs
    if isinstance(inputs, str | Path):
        text = str(inputs)
        if text.lower().split(':')[0] == 'webcam' and not Path(text).exists():
            return Video(_camera(text), 'webcam.mp4')
        if is_video(text):
            if not Path(text).is_file():
                raise FileNotFoundError(_missing(text))
            return Video(text, text)
    items = _flat(inputs)
    for item in items:
        _check(item)
    return Images(items)


def numbered(index: int) -> str:
    """The name of a picture that has none: ``000012.jpg``."""
    return f'{index:06}.jpg'


def is_video(path: str) -> bool:
    """Whether the name is one of a video."""
    return Path(path).suffix.lower() in VIDEOS


def read_image(path: str) -> np.ndarray:
    """A picture as (h, w, 3) BGR uint8, turned as its EXIF data say.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no picture, or one cut short.
    """
    content = fileio.get(path)
    image = mmcv.imfrombytes(content, flag='color') if content else None
    if image is None:
        raise ValueError(f'{path} cannot be read as a picture: damaged, cut short or none at all')
    return image


def _camera(text: str) -> int:
    number = text.partition(':')[2]
    if text.lower() != 'webcam' and not number.isdecimal():
        raise ValueError(f'{text!r} names no camera; expected webcam, or webcam:1 for the second')
    return int(number or 0)


def _flat(inputs: Any) -> list[str | np.ndarray]:
    """Paths and arrays, with folders and patterns spelt out."""
    if isinstance(inputs, np.ndarray):
        return [inputs]
    if isinstance(inputs, Sequence) and not isinstance(inputs, str):
        return [item for part in inputs for item in _flat(part)]
    if not isinstance(inputs, str | Path):
        raise TypeError(
            f'inputs have a {type(inputs).__name__}; expected paths, arrays or lists of them'
        )
    text = str(inputs)
    if Path(text).is_dir():
        found = sorted(str(p) for p in Path(text).iterdir() if p.suffix.lower() in IMAGES)
        if not found:
            raise ValueError(f'{text} has no pictures ({", ".join(IMAGES)})')
        return [*found]
    if not Path(text).exists() and glob.has_magic(text):
        found = sorted(glob.glob(text, recursive=True))
        if not found:
            raise FileNotFoundError(f'no file is called like {text}')
        return [*found]
    return [text]


def _check(item: str | np.ndarray) -> None:
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
        raise ValueError(f'{item} is no picture that OpenCV can read')


def _missing(item: str) -> str:
    folder = Path(item).parent
    if not folder.is_dir():
        return f'{item} does not exist: there is no folder {folder}'
    names = [p.name for p in folder.iterdir()]
    if len(names) > 20:
        return f'{item} does not exist; {folder} has {len(names)} other files'
    return f'{unknown_name(f"file in {folder}", Path(item).name, sorted(names))}'
