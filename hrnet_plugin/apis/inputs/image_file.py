"""Images from files: 8 bits, or more scaled to 8; the first of several frames."""

from pathlib import Path

import cv2
import mmcv
import numpy as np
from mmengine import fileio

from ...checks.images import DEEP, is_cut_short
from ...utils.bit_depth import to_8_bits, value_bits
from .report import InputReport

# Endings of what OpenCV decodes; of those in OPTIONAL only if it was built with their libraries.
IMAGES = (
    *('.avif', '.bmp', '.dib', '.gif', '.jfif', '.jp2', '.jpe', '.jpeg', '.jpg', '.pbm'),
    *('.pgm', '.png', '.pnm', '.ppm', '.ras', '.sr', '.tif', '.tiff', '.webp'),
)
OPTIONAL = ('.avif', '.gif', '.jp2', '.webp')
SEVERAL_FRAMES = ('.avif', '.gif', '.png', '.tif', '.tiff', '.webp')


def read_image(path: str, report: InputReport | None = None) -> np.ndarray:
    """Read an image as (h, w, 3) BGR uint8, turned as its EXIF data say.

    Of 16-bit files the values are scaled by the smallest of 8, 10, 12, 14 and 16 bits that holds
    the largest of them. Of files with several frames the first is read.

    Args:
        path: Path or address.
        report: Takes a note of several frames.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no image, damaged, cut short, or has values that are not integers.
    """
    content = fileio.get(path)
    if not content:
        raise ValueError(f'{path} is empty')
    # Some versions of OpenCV would decode a part of it.
    if is_cut_short(content):
        raise ValueError(f'{path} cannot be read as an image: the file is cut short')
    try:
        image = decode_image(content)
    except ValueError as error:
        raise ValueError(f'{path} {error}') from error
    if image is None:
        raise ValueError(f'{path} cannot be read as an image: damaged or none at all')
    if report is not None and (frames := frame_count(path)) > 1:
        report.note(f'has {frames} frames, of which only the first is read', path)
    return image


def decode_image(content: bytes) -> np.ndarray | None:
    """Decode an image file as (h, w, 3) BGR uint8; None if it is none.

    Raises:
        ValueError: It has values that are not integers, or negative, or it is too large.
    """
    try:
        if not content.startswith(DEEP):  # others say how many bits they have
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
    """Return how many frames or pages an image file has; 1 if OpenCV cannot tell."""
    count = getattr(cv2, 'imcount', None)
    if Path(path).suffix.lower() not in SEVERAL_FRAMES or not Path(path).is_file():
        return 1
    # Of what it does not know, imcount prints an error.
    return count(path) if count and cv2.haveImageReader(path) else 1
