"""Check whether images can be read completely, and are as large as their annotations say."""

import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from ..utils.bit_depth import value_bits
from .findings import Findings
from .instances import ImageRecord

MISSING = 'the image does not exist'
UNREADABLE = 'the image cannot be decoded'
CUT_SHORT = 'the image file is cut short'
OTHER_SIZE = 'the image has another size (w, h) than the annotations say'
DARK = (
    'the file has 16 bits but its values use fewer (cameras of 10, 12 or 14 bits): MMPose keeps '
    'the upper 8 and reads it almost black; scale it to 8 bits'
)

# JPEG: markers but for those within a scan (restarts, and 0 after a byte 0xff of the data).
MARKER = re.compile(rb'\xff[\x01-\xcf\xd8-\xfe]')
START, END, TEMPORARY = 0xD8, 0xD9, 0x01  # the markers without a length
PNG = b'\x89PNG'
# Formats that may have 16 bits
DEEP = (PNG, b'II*\0', b'MM\0*', b'P2', b'P3', b'P5', b'P6')


def check_images(
    folder: str | Path,
    images: Iterable[ImageRecord],
    read: bool = True,
    done: Callable[[], object] = lambda: None,
) -> Findings:
    """Check the images of a folder.

    Args:
        folder: Where the images are.
        images: What the annotations say of them.
        read: Whether to decode them; else they only have to exist.
        done: A function that is called after each.

    Returns:
        The findings.
    """

    def check(image: ImageRecord) -> tuple[str, str] | None:
        path = Path(folder, image.file_name)
        problem = image_problem(path, image.size) if read else None
        if not read and not path.is_file():
            problem = (MISSING, '')
        return problem and (problem[0], f'{image.file_name}{problem[1]}')

    examples: dict[str, list[str]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes without Python's lock
        for problem in pool.map(check, images):
            done()
            if problem is not None:
                examples.setdefault(problem[0], []).append(problem[1])
    findings = Findings(folder)
    for message in (MISSING, UNREADABLE, CUT_SHORT, OTHER_SIZE):
        findings.errors(message, 'image', examples.get(message, ()))
    findings.warnings(DARK, 'image', examples.get(DARK, ()))
    return findings


def image_problem(path: Path, size: tuple[int, int] | None) -> tuple[str, str] | None:
    """Read an image as MMPose does, and say what is wrong with it.

    Args:
        path: The image file.
        size: (w, h) that it should have; None for any.

    Returns:
        A message and details; None if nothing is wrong.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return MISSING, ''
    except OSError as error:
        return UNREADABLE, f' ({error.strerror})'
    if is_cut_short(data):
        return CUT_SHORT, ''
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        return UNREADABLE, ''
    height, width = image.shape[:2]
    if size is not None and size != (width, height):
        turned = '; it is turned by its EXIF orientation' if size == (height, width) else ''
        return OTHER_SIZE, f' {(width, height)}, not {size}{turned}'
    bits = unused_depth(data)
    return None if bits is None else (DARK, f' ({bits} of 16 bits)')


def unused_depth(data: bytes) -> int | None:
    """Return how many bits the values of a 16-bit file use; None if all, or of another file."""
    if not data.startswith(DEEP) or (data.startswith(PNG) and data[24:25] != b'\x10'):
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None or image.dtype.kind not in 'iu' or image.dtype.itemsize != 2:
        return None
    bits = value_bits(image)
    return bits if bits < 16 else None


def is_cut_short(data: bytes) -> bool:
    """Return whether the end of a JPEG or PNG file is missing; OpenCV may decode it nevertheless.

    Other data may follow the image, such as the video of a motion photo.
    """
    if data.startswith(b'\xff\xd8'):
        return _jpeg_is_cut_short(data)
    return data.startswith(PNG) and b'IEND' not in data


def _jpeg_is_cut_short(data: bytes) -> bool:
    """Go from marker to marker (ITU-T T.81, B.1.1), to the end of the image or of the file."""
    position = 0
    while match := MARKER.search(data, position):
        position = match.end()
        code = data[position - 1]
        if code == END:
            return False
        if code not in (START, TEMPORARY):
            position += int.from_bytes(data[position : position + 2], 'big')
    return True
