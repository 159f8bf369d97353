"""Whether pictures can be read, completely, and are as large as their annotations say."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from .findings import Findings
from .people import Image

MISSING = 'the image does not exist'
UNREADABLE = 'the image cannot be decoded'
CUT_SHORT = 'the image file is cut short'
OTHER_SIZE = 'the image has another size (w, h) than the annotations say'

# Of a JPEG, the markers before the last scan and at the end; within a scan, neither can occur.
SCAN, END = b'\xff\xda', b'\xff\xd9'


def check_images(
    folder: str | Path,
    images: Iterable[Image],
    read: bool = True,
    done: Callable[[], object] = lambda: None,
) -> Findings:
    """Look at each of a folder's images.

    Args:
        read: decode them; or else only see whether they exist.
        done: is called after each.
    """

    def look(image: Image) -> tuple[str, str] | None:
        path = Path(folder, image.file_name)
        problem = image_problem(path, image.size) if read else None
        if not read and not path.is_file():
            problem = (MISSING, '')
        return problem and (problem[0], f'{image.file_name}{problem[1]}')

    found: dict[str, list[str]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes without Python's lock
        for problem in pool.map(look, images):
            done()
            if problem is not None:
                found.setdefault(problem[0], []).append(problem[1])
    findings = Findings(folder)
    for message in (MISSING, UNREADABLE, CUT_SHORT, OTHER_SIZE):
        findings.errors(message, 'image', found.get(message, ()))
    return findings


def image_problem(path: Path, size: tuple[int, int] | None) -> tuple[str, str] | None:
    """What is wrong with one image, and details; it is read as MMPose reads it."""
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
    return None


def is_cut_short(data: bytes) -> bool:
    """Whether the end of a JPEG or PNG file is missing; OpenCV may decode it all the same."""
    if data.startswith(b'\xff\xd8'):
        return data.rfind(END) < data.rfind(SCAN)
    return data.startswith(b'\x89PNG') and b'IEND' not in data
