"""New synthetic images, and contact sheets of what models draw on them."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from hrnet_plugin.datasets import scene_of

# Larger synthetic images, of a seed that training and evaluation do not use
SEED, NUM_IMAGES, SIZE = 2, 12, (640, 480)
COLUMNS = 4
SCORE = 0.3  # of the least certain person that is drawn
OVERLAP = 0.3  # IoU of the boxes of a person and of its detection


def write_images(folder: Path) -> list[Path]:
    """Write synthetic images that no model has seen; return their paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f'{i:02}.jpg' for i in range(NUM_IMAGES)]
    for i, path in enumerate(paths):
        cv2.imwrite(str(path), scene_of(SEED, 'val', i, SIZE).image)
    return paths


def count_people(folder: Path) -> Counter[str]:
    """Compare what MMPoseInferencer has found in these images with the people in them.

    Args:
        folder: Folder of its predictions.

    Returns:
        Numbers as of `compare`.
    """
    numbers: Counter[str] = Counter()
    for i in range(NUM_IMAGES):
        predicted = json.loads((folder / f'{i:02}.json').read_text())
        corners = np.reshape([person['bbox'][0] for person in predicted], (-1, 4))
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        numbers.update(compare(boxes, scene_of(SEED, 'val', i, SIZE).annotations))
    return numbers


def count_detections(detections: Path, annotations: Path) -> Counter[str]:
    """Compare detections with a score above SCORE with the people in their images.

    Args:
        detections: File of COCO's detection results.
        annotations: File of COCO's annotations.

    Returns:
        Numbers as of `compare`.
    """
    content = json.loads(annotations.read_text())
    truth: dict[int, list[dict[str, Any]]] = {image['id']: [] for image in content['images']}
    boxes: dict[int, list[list[float]]] = {image: [] for image in truth}
    for annotation in content['annotations']:
        truth[annotation['image_id']].append(annotation)
    for detection in json.loads(detections.read_text()):
        if detection['score'] > SCORE:
            boxes[detection['image_id']].append(detection['bbox'])
    numbers: Counter[str] = Counter()
    for image, found in boxes.items():
        numbers.update(compare(np.reshape(found, (-1, 4)), truth[image]))
    return numbers


def compare(boxes: np.ndarray, annotations: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Compare boxes of detections with the people in an image.

    Args:
        boxes: Left, top, width and height of each, (n, 4).
        annotations: COCO's annotations of the image.

    Returns:
        Numbers of annotated people that are ``found`` and ``missed``, and of ``false`` people,
        which overlap with nobody.
    """
    truth = np.reshape([annotation['bbox'] for annotation in annotations], (-1, 4))
    is_crowd = np.array([annotation['iscrowd'] for annotation in annotations], bool)
    overlaps = np.zeros((len(boxes), len(truth)), bool)
    if overlaps.size:
        overlaps[:] = coco_mask.iou(boxes, truth, is_crowd) >= OVERLAP
    is_found = np.asarray(overlaps.any(axis=0))[~is_crowd]
    return Counter(
        found=int(is_found.sum()),
        missed=int((~is_found).sum()),
        false=int((~overlaps.any(axis=1)).sum()),
    )


def read_images(paths: list[Path]) -> list[np.ndarray]:
    """Read images (H, W, 3), BGR."""
    return [np.asarray(cv2.imread(str(path))) for path in paths]


def sheet(images: list[np.ndarray]) -> np.ndarray:
    """Put images (H, W, 3) on one page, at half their size, in rows of COLUMNS."""
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    rows, columns = math.ceil(len(images) / COLUMNS), min(len(images), COLUMNS)
    page = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = i // COLUMNS * height, i % COLUMNS * width
        page[y : y + image.shape[0], x : x + image.shape[1]] = image
    return cv2.resize(page, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
