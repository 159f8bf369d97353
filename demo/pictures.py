"""New synthetic images, and contact sheets of what models draw on them."""

import math
from pathlib import Path

import cv2
import numpy as np

from hrnet_plugin.datasets import scene_of

# Larger synthetic images, of a seed that training and evaluation do not use
SEED, NUM_IMAGES, SIZE = 2, 12, (640, 480)
COLUMNS = 4


def write_images(folder: Path) -> list[Path]:
    """Write synthetic images that no model has seen; return their paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f'{i:02}.jpg' for i in range(NUM_IMAGES)]
    for i, path in enumerate(paths):
        cv2.imwrite(str(path), scene_of(SEED, 'val', i, SIZE).image)
    return paths


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
