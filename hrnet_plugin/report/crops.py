"""Crops of images as small JPEG files, for a page that has to stay small."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..functional.coco.ids import as_id

SIDE = 208  # longest side of a crop, in pixels
BYTES = 5000  # of a JPEG file: 500 of them and their outlines are below 5 MB as text
QUALITIES = (82, 70, 58, 46, 34)
SMALLER = 0.75  # sides of a crop that is too large in the lowest quality, again and again


@dataclass(frozen=True)
class Crop:
    """A part of an image, scaled.

    Attributes:
        box: Left, top, right and bottom in the image, in pixels.
        size: Width and height of the crop as it is drawn, in pixels.
        jpeg: The crop as a JPEG file; None where there is no image.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    jpeg: bytes | None = None

    def place(self, points: np.ndarray) -> np.ndarray:
        """Convert points (…, 2) of the image to points of the crop."""
        left, top, right, bottom = self.box
        scale = self.size[0] / (right - left), self.size[1] / (bottom - top)
        return (points - [left, top]) * scale


@dataclass(frozen=True)
class ImageSource:
    """Where the images of a dataset are.

    Attributes:
        paths: File of each image, by its id; None where the annotations do not tell.
        folder: Folder, for messages.
    """

    paths: Mapping[Any, Path | None]
    folder: str

    @classmethod
    def from_folder(cls, folder: str | Path, images: Sequence[Mapping[str, Any]]) -> 'ImageSource':
        """Look images of annotations up in a folder, by their file names.

        Args:
            folder: Folder of the images.
            images: ``'images'`` of annotations in COCO format. A file name may have folders; if it
                is not there with them, it is looked up without.

        Raises:
            OSError: There is no such folder.
        """
        root = Path(folder)
        if not root.is_dir():
            reason = 'is a file, not a folder' if root.exists() else 'does not exist'
            raise OSError(f'{root}, the folder of the images, {reason}')
        paths: dict[Any, Path | None] = {}
        for image in images:
            if 'id' in image:
                name = image.get('file_name')
                paths[as_id(image['id'])] = _found(root, name) if isinstance(name, str) else None
        return cls(paths, str(folder))


def _found(root: Path, name: str) -> Path:
    name = name.replace('\\', '/')
    path = root / name
    try:
        if not path.is_file() and (root / Path(name).name).is_file():
            return root / Path(name).name
    except (OSError, ValueError):  # a name that no file can have
        pass
    return path


def region(points: np.ndarray, core: np.ndarray, size: tuple[float, float] | None) -> np.ndarray:
    """Return the part of an image to show: around points, but not far from what matters.

    Args:
        points: Points (N, 2) that should be seen.
        core: Left, top, right and bottom (4,) that must be seen; points count up to its own size
            around it.
        size: Width and height of the image; None where they are not known.

    Returns:
        Left, top, right and bottom (4,).
    """
    low, high = core[:2], core[2:]
    extent = np.maximum(high - low, 8)
    near = np.clip(points, low - extent, high + extent) if len(points) else core.reshape(2, 2)
    low, high = np.minimum(low, near.min(axis=0)), np.maximum(high, near.max(axis=0))
    margin = 0.12 * np.maximum(high - low, 24)
    low, high = low - margin, high + margin
    if size is not None:
        clipped_low, clipped_high = np.maximum(low, 0), np.minimum(high, size)
        if (clipped_high - clipped_low > 4).all():
            low, high = clipped_low, clipped_high
    return np.concatenate([np.floor(low), np.ceil(high)])


def crop_images(
    boxes: Mapping[Any, np.ndarray],
    image_of: Mapping[Any, Any],
    source: ImageSource | None,
    names: Mapping[Any, str],
    progress: Callable[[], object] = lambda: None,
    longest: int = SIDE,
    most_bytes: int = BYTES,
) -> tuple[dict[Any, Crop], list[str]]:
    """Cut parts out of images, each of which is read once.

    Args:
        boxes: Left, top, right and bottom (4,) of each part, by a key.
        image_of: Id of the image of each part, by the same key.
        source: Where the images are; None for crops without an image.
        names: What to call each image in messages, by its id.
        progress: Called after each image.
        longest: Longest side of a crop, in pixels.
        most_bytes: Size of a JPEG file.

    Returns:
        A crop for each key, and a message for each image that cannot be shown.
    """
    import cv2

    crops, problems = {}, []
    by_image: dict[Any, list[Any]] = {}
    for key in boxes:
        by_image.setdefault(image_of[key], []).append(key)
    for image_id, keys in by_image.items():
        image = None
        if source is not None:
            path = source.paths.get(image_id)
            if path is None:
                problems.append(f'{names.get(image_id, image_id)}: the annotations name no file')
            else:
                image, problem = _read(path)
                if problem:
                    problems.append(problem)
        for key in keys:
            crops[key] = _crop(cv2, image, boxes[key], longest, most_bytes)
        progress()
    return crops, problems


def _read(path: Path) -> tuple[np.ndarray | None, str]:
    import cv2

    try:
        data = np.fromfile(path, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except (OSError, ValueError, cv2.error) as error:
        reason = error.strerror if isinstance(error, OSError) else 'it cannot be decoded'
        return None, f'{path}: {reason}'
    return image, '' if image is not None else f'{path}: it is damaged, or not an image'


def _crop(
    cv2: Any, image: np.ndarray | None, box: np.ndarray, longest: int, most_bytes: int
) -> Crop:
    left, top, right, bottom = box.tolist()
    width, height = right - left, bottom - top
    scale = longest / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if image is None:
        return Crop((left, top, right, bottom), size)
    part = _part(cv2, image, box)
    side = min(longest, max(part.shape[:2]))  # enlarging adds nothing but bytes
    while True:
        factor = side / max(part.shape[:2])
        shape = tuple(max(1, round(n * factor)) for n in (part.shape[1], part.shape[0]))
        small = cv2.resize(part, shape, interpolation=cv2.INTER_AREA)
        for quality in QUALITIES:
            _, encoded = cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if len(encoded) <= most_bytes or side < 16:
                return Crop((left, top, right, bottom), size, encoded.tobytes())
        side = int(side * SMALLER)


def _part(cv2: Any, image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Cut a part out of an image; what is outside of it is grey."""
    height, width = image.shape[:2]
    left, top, right, bottom = (int(v) for v in np.clip(box, -1e5, 1e5))
    # Of a box far outside, which a wrong annotation may have, only a corner is of interest.
    right, bottom = min(right, left + 4 * width + 64), min(bottom, top + 4 * height + 64)
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if inside.shape[:2] == (bottom - top, right - left):
        return inside
    part = np.full((max(1, bottom - top), max(1, right - left), 3), 128, np.uint8)
    y, x = max(-top, 0), max(-left, 0)
    part[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return part
