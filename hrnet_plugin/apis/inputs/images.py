"""Read images from files, URLs and arrays, as 8 bits per channel."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import mmcv
import numpy as np
from mmengine import fileio
from PIL import ExifTags, Image

from ...checks.images import DEEP, is_cut_short
from ...utils.bit_depth import to_8_bits, value_bits
from .file_names import distinct_names
from .report import InputReport

DEFAULT_FPS = 30.0  # of images that follow each other, and of cameras that do not state theirs

# Suffixes of the formats that OpenCV decodes; those in OPTIONAL only if it was built with them.
IMAGES = (
    *('.avif', '.bmp', '.dib', '.gif', '.jfif', '.jp2', '.jpe', '.jpeg', '.jpg', '.pbm'),
    *('.pgm', '.png', '.pnm', '.ppm', '.ras', '.sr', '.tif', '.tiff', '.webp'),
)
OPTIONAL = ('.avif', '.gif', '.jp2', '.webp')
SEVERAL_FRAMES = ('.avif', '.gif', '.png', '.tif', '.tiff', '.webp')
TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


@dataclass
class Frame:
    """One image of an input.

    Attributes:
        index: Index among the inputs, or in the video, from 0.
        name: Path of the file; of arrays and frames of videos a made-up one, as MMPose does it.
        image: Pixels (h, w, 3), BGR uint8.
        timestamp: Time of a frame of a video in seconds, as its container states it.
    """

    index: int
    name: str
    image: np.ndarray
    timestamp: float | None = None


@dataclass
class Images:
    """Images as an iterable of frames.

    Args:
        items: Paths, URLs, or arrays (h, w, 3), BGR uint8.
        report: Report that takes unreadable images.

    Attributes:
        names: Name of each image: its path, or a made-up one of an array.
    """

    items: list[str | np.ndarray]
    report: InputReport = field(default_factory=InputReport)
    fps: float = DEFAULT_FPS
    is_video: bool = False
    is_live: bool = False
    names: list[str] = field(init=False)
    _labels: list[str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.names = [
            item if isinstance(item, str) else numbered_name(i)
            for i, item in enumerate(self.items)
        ]

    @property
    def labels(self) -> list[str]:
        """Distinct relative paths that results and output files are named by.

        Raises:
            ValueError: A file is given twice.
        """
        if self._labels is None:
            self._labels = distinct_names(self.names)
        return self._labels

    @labels.setter
    def labels(self, labels: list[str]) -> None:
        self._labels = labels

    def image_size(self, index: int) -> tuple[int, int] | None:
        """Return the width and height of an image in pixels, without decoding it.

        Args:
            index: Index of the image.

        Returns:
            (w, h), or None if the image would have to be fetched or cannot be read.
        """
        item = self.items[index]
        if isinstance(item, np.ndarray):
            return item.shape[1], item.shape[0]
        if '://' in item:
            return None
        try:
            with Image.open(item) as image:
                width, height = image.size
                transposed = image.getexif().get(ExifTags.Base.Orientation) in TRANSPOSED
        except Exception:  # Pillow raises many kinds; reading the image reports the problem.
            return None
        return (height, width) if transposed else (width, height)

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


def numbered_name(index: int) -> str:
    """Return the name of an image that has none, as MMPose makes it up.

    >>> numbered_name(12)
    '000012.jpg'
    """
    return f'{index:06}.jpg'


def read_image(path: str, report: InputReport | None = None) -> np.ndarray:
    """Read an image file in its EXIF orientation.

    16-bit values are scaled by the smallest of 8, 10, 12, 14 and 16 bits that holds the largest
    of them. Of a file with several frames, the first is read.

    Args:
        path: Path or URL of the file.
        report: Report that takes a note if there are several frames.

    Returns:
        The image (h, w, 3), BGR uint8.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not an image, is damaged or truncated, or its values are not integers.
    """
    content = fileio.get(path)
    if not content:
        raise ValueError(f'{path} is empty')
    # Some versions of OpenCV decode the part that is there.
    if is_cut_short(content):
        raise ValueError(f'{path} cannot be read as an image: the file is truncated')
    try:
        image = decode_image(content)
    except ValueError as error:
        raise ValueError(f'{path} {error}') from error
    if image is None:
        raise ValueError(f'{path} cannot be read as an image: it is damaged, or not an image')
    if report is not None and (frames := frame_count(path)) > 1:
        report.note(f'has {frames} frames; only the first is read', path)
    return image


def decode_image(content: bytes) -> np.ndarray | None:
    """Decode the content of an image file.

    Args:
        content: Bytes of the file.

    Returns:
        The image (h, w, 3), BGR uint8; None if OpenCV cannot decode it.

    Raises:
        ValueError: Values are negative or not integers, or the image is too large.
    """
    try:
        if not content.startswith(DEEP):  # other formats state their number of bits
            return mmcv.imfrombytes(content, flag='color')
        data = np.frombuffer(content, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        if image is None:
            raw = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
            if raw is None or raw.dtype == np.uint8:
                return None
            raise ValueError(f'has values of type {raw.dtype}; expected integers of 8 or 16 bits')
    except cv2.error as error:
        raise ValueError(f'cannot be decoded by OpenCV: {error.err}') from error
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind not in 'iu' or image.min(initial=0) < 0:
        raise ValueError(
            f'has values of type {image.dtype} from {image.min()} to {image.max()}; expected '
            'integers of 8 or 16 bits, from 0'
        )
    if value_bits(image) == 16:
        return mmcv.imfrombytes(content, flag='color')
    return to_8_bits(image.astype(np.uint16))


def frame_count(path: str) -> int:
    """Return the number of frames or pages of an image file; 1 if OpenCV cannot tell."""
    count = getattr(cv2, 'imcount', None)
    if Path(path).suffix.lower() not in SEVERAL_FRAMES or not Path(path).is_file():
        return 1
    # imcount prints an error for formats that it does not know.
    return count(path) if count and cv2.haveImageReader(path) else 1
