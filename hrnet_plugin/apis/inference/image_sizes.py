"""Sizes of images, without decoding them."""

from contextlib import closing
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from .inputs import Images, Source

TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


def image_size(source: Source, index: int) -> tuple[int, int] | None:
    """Width and height of an image of a source, or of its video; None if it is not cheap to tell.

    Args:
        index: of the image, from 0.
    """
    if source.is_live:
        return None
    if not isinstance(source, Images):
        frames: Any = iter(source)
        with closing(frames):
            first = next(frames, None)
        return None if first is None else first.image.shape[1::-1]
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
