"""Sizes of images, without decoding them."""

import cv2
import numpy as np
from PIL import ExifTags, Image

from .sources import Images, Source

SIDES = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


def image_size(source: Source, index: int) -> tuple[int, int] | None:
    """Width and height of an image of a source, or of its video; None if it is not cheap to tell.

    Args:
        index: of the image, from 0.
    """
    if source.is_live:
        return None
    if not isinstance(source, Images):
        capture = cv2.VideoCapture(source.path)
        width, height = (int(capture.get(p)) for p in SIDES)
        capture.release()
        return (width, height) if width > 0 < height else None
    item = source.items[index]
    if isinstance(item, np.ndarray):
        return item.shape[1], item.shape[0]
    if '://' in item:
        return None
    try:
        with Image.open(item) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation) in TURNED
    except Exception:  # of what cannot be read, its turn tells; Pillow raises many kinds
        return None
    return (height, width) if turned else (width, height)
