"""Sources of imports: fixtures of each tool beside images that are made here."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

FILES = Path(__file__).parents[1] / 'datasets/importers/files'
SIZE = 64, 48  # width and height of the images of all fixtures


def write_images(folder: Path, names: Iterable[str], size: tuple[int, int] = SIZE) -> None:
    """Write images of noise, each another one."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8)
        assert cv2.imwrite(str(path), noise)


def place(name: str, folder: Path, images: Iterable[str] = ()) -> Path:
    """Copy a fixture into a folder, and write its images there; return the fixture's path."""
    fixture = FILES / name
    path = folder / fixture.name
    folder.mkdir(parents=True, exist_ok=True)
    if fixture.is_dir():
        shutil.copytree(fixture, path)
        write_images(path, images)
    else:
        shutil.copyfile(fixture, path)
        write_images(folder, images)
    return path


def points_of(data: Path) -> dict[str, list[tuple[str, dict[str, tuple[float, float, int]]]]]:
    """Return what a dataset in COCO's format labels.

    Args:
        data: Its folder.

    Returns:
        For each image, its instances: category, and labelled points by name.
    """
    found: dict[str, Any] = {}
    for path in sorted((data / 'annotations').glob('*.json')):
        content = json.loads(path.read_text())
        categories = {c['id']: c for c in content['categories']}
        images = {i['id']: i['file_name'] for i in content['images']}
        found.update({name: [] for name in images.values()})
        for row in content['annotations']:
            category = categories[row['category_id']]
            triples = np.reshape(row['keypoints'], (-1, 3)).tolist()
            points = {
                name: (x, y, int(v))
                for name, (x, y, v) in zip(category['keypoints'], triples, strict=True)
                if v
            }
            assert all((x, y) == (0, 0) for x, y, v in triples if not v)
            assert row['num_keypoints'] == len(points)
            found[images[row['image_id']]].append((category['name'], points))
    return found


def rows_of(data: Path, split: str, part: str = 'annotations') -> list[Mapping[str, Any]]:
    """Return a list of an annotation file."""
    rows: list[Mapping[str, Any]] = json.loads((data / f'annotations/{split}.json').read_text())[
        part
    ]
    return rows
