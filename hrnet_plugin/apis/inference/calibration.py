"""Crops of images from which the ranges of an int8 network are taken."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..boxes.box_file import BoxFile
from ..boxes.given_boxes import as_boxes
from ..inputs.folders import list_folder
from ..inputs.images import Images
from ..inputs.report import InputReport
from .pose_model import PoseModel

MAX_IMAGES = 100
MAX_CROPS = 200
EXPECTED = 'a folder of images, or a *.json file of COCO annotations'
T = TypeVar('T')


def calibration_crops(pose: PoseModel, source: str | Path) -> list[np.ndarray]:
    """Cut crops out of images as inference does.

    Args:
        pose: Pose model, whose pipeline cuts.
        source: A folder of images, each of which is one instance; or COCO annotations, whose
            boxes are used, beside their images or in COCO's layout (``annotations/*_NAME.json``
            and ``NAME/``).

    Returns:
        At most 200 crops (h, w, 3), uint8, BGR, of at most 100 images, evenly spaced.

    Raises:
        OSError: A file does not exist or cannot be read.
        ValueError: There are no images, or the file is not of COCO annotations.
    """
    path = Path(source)
    report = InputReport(quiet=True)
    if path.is_dir():
        images = Images([*spaced(list_folder(str(path), report), MAX_IMAGES)], report)
        boxes = None
    elif path.suffix.lower() == '.json':
        file = BoxFile(str(path), threshold=0)
        images = Images([*spaced(image_files(file, path), MAX_IMAGES)], report)
        (boxes,) = file.of([images])
    elif not path.exists():
        raise FileNotFoundError(f'calibration: {path} does not exist; expected {EXPECTED}')
    else:
        raise ValueError(f'calibration: {path} is a file; expected {EXPECTED}')
    crops = []
    for frame in images:
        height, width = frame.image.shape[:2]
        whole = as_boxes([[0, 0, width, height]], frame.name)
        for box in whole if boxes is None else boxes.of(frame):
            inputs = pose.crop(frame, box)['inputs']
            crops.append(np.ascontiguousarray(inputs.numpy().transpose(1, 2, 0)))
    return spaced(crops, MAX_CROPS)


def image_files(file: BoxFile, path: Path) -> list[str]:
    """Return the paths of the images that a file of COCO annotations has boxes for.

    Raises:
        FileNotFoundError: They are not where they are expected.
        ValueError: The file does not name its images.
    """
    names = [image.name for key, image in file.images.items() if key[0] != 'id' and image.frames]
    if not names:
        raise ValueError(
            f'calibration: {path} does not name its images; expected COCO annotations, with '
            "'images'"
        )
    folders = [path.parent, path.parent.parent / path.stem.rpartition('_')[2]]
    for folder in folders:
        if (folder / names[0]).is_file():
            return [str(folder / name) for name in names]
    raise FileNotFoundError(
        f'calibration: {names[0]} of {path} is neither in {folders[0]} nor in {folders[1]}; '
        'put the annotations beside their images'
    )


def spaced(items: Sequence[T], count: int) -> list[T]:
    """Return at most so many items, evenly spaced."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]
