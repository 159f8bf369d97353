"""Tiny datasets on disk, in the layouts that segmentation, detection and classification read."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmdet.datasets import CocoDataset

HEIGHT, WIDTH = 72, 104
SPLITS = ('train', 'val')
IMAGES = 4  # of each split
IGNORED = 8  # rows of label maps
BOX = (20, 16, 40, 36)  # of the only object: x, y, width, height


def write_task_datasets(root: Path) -> dict[str, Path]:
    """Write one of each; return the environment variables that name their folders."""
    writers = dict(
        ADE20K_ROOT=_write_ade20k,
        CITYSCAPES_ROOT=_write_cityscapes,
        COCO_ROOT=_write_coco,
        IMAGENET_ROOT=_write_imagenet,
        LIP_ROOT=_write_lip,
        PASCAL_CONTEXT_ROOT=_write_pascal_context,
    )
    for name, write in writers.items():
        write(root / name)
    return {name: root / name for name in writers}


def _image(seed: int) -> np.ndarray:
    x, y, width, height = BOX
    image = np.random.default_rng(seed).integers(0, 100, (HEIGHT, WIDTH, 3), np.uint8)
    image[y : y + height, x : x + width] += 100
    return image


def _labels(classes: int) -> np.ndarray:
    """Bars of the first classes, below a strip that is ignored."""
    labels = np.empty((HEIGHT, WIDTH), np.uint8)
    labels[:] = np.arange(WIDTH) // 4 % classes
    labels[:IGNORED] = 255
    return labels


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def _write_ade20k(root: Path) -> None:
    for folder in ('training', 'validation'):
        for i in range(IMAGES):
            _write(root / f'images/{folder}/{i}.jpg', _image(i))
            _write(root / f'annotations/{folder}/{i}.png', _labels(151))


def _write_cityscapes(root: Path) -> None:
    for split in SPLITS:
        for i in range(IMAGES):
            _write(root / f'leftImg8bit/{split}/a/{i}_leftImg8bit.png', _image(i))
            _write(root / f'gtFine/{split}/a/{i}_gtFine_labelTrainIds.png', _labels(19))


def _write_pascal_context(root: Path) -> None:
    lists = root / 'ImageSets/SegmentationContext'
    lists.mkdir(parents=True)
    for split in SPLITS:
        names = [f'{split}{i}' for i in range(IMAGES)]
        for i, name in enumerate(names):
            _write(root / f'JPEGImages/{name}.jpg', _image(i))
            _write(root / f'SegmentationClassContext/{name}.png', _labels(60))
        (lists / f'{split}.txt').write_text('\n'.join(names))


def _write_lip(root: Path) -> None:
    for split in SPLITS:
        for i in range(IMAGES):
            _write(root / f'{split}_images/{i}.jpg', _image(i))
            _write(root / f'{split}_segmentations/{i}.png', _labels(20))


def _write_imagenet(root: Path) -> None:
    (root / 'meta').mkdir(parents=True)
    for split in SPLITS:
        for i in range(IMAGES):
            _write(root / f'{split}/{i}.jpg', _image(i))
        rows = [f'{i}.jpg {i * 250}' for i in range(IMAGES)]
        (root / f'meta/{split}.txt').write_text('\n'.join(rows))


def _write_coco(root: Path) -> None:
    (root / 'annotations').mkdir(parents=True)
    x, y, width, height = BOX
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    for split in SPLITS:
        images: list[dict[str, Any]] = []
        objects: list[dict[str, Any]] = []
        for i in range(1, IMAGES + 1):
            name = f'{i:012}.jpg'
            _write(root / f'{split}2017/{name}', _image(i))
            images.append(dict(id=i, file_name=name, height=HEIGHT, width=WIDTH))
            objects.append(
                dict(
                    id=i,
                    image_id=i,
                    category_id=1,
                    bbox=BOX,
                    area=width * height,
                    iscrowd=0,
                    segmentation=[corners],
                )
            )
        categories = [dict(id=i, name=n) for i, n in enumerate(CocoDataset.METAINFO['classes'], 1)]
        content = dict(images=images, annotations=objects, categories=categories)
        file = root / f'annotations/instances_{split}2017.json'
        file.write_text(json.dumps(content))
