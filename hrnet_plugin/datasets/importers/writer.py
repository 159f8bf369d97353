"""Write a dataset in COCO's format: images, annotations of each split, metainfo."""

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...functional.coco.arrays import annotation_table
from ...functional.coco.instances import AREA_PER_BOX
from ...utils.atomic_files import PARTIAL, write_atomically
from ...utils.json_files import read_json
from ..metainfo import USUAL_SIGMA, metainfo_from_coco, metainfo_source
from .images import output_names
from .labels import Counts, Image, Instance, Skeleton, Tally
from .reading import Dataset

SPLIT_ORDER = ('train', 'val', 'test')
METAINFO = 'metainfo.py'
# Of a box that is made around points: its margin, relative to the extent of the points; and its
# smallest side, relative to that of the image
BOX_MARGIN = 0.1
SMALLEST_BOX = 0.02


@dataclass(frozen=True)
class WrittenDataset:
    """A dataset on disk.

    Attributes:
        folder: Its folder.
        counts: Images, instances and labelled points of each split, read again from its files.
    """

    folder: Path
    counts: dict[str, Counts]


def check_output(out: Path) -> None:
    """Check that a folder can be written: it does not exist, or is empty.

    Raises:
        FileExistsError: There is something, which is never changed.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(
            f'{out} is not empty, and its files are left alone; remove it, or choose another '
            'folder'
        )


@contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """Write a folder all at once: yield one beside it, which takes its name without an error.

    Raises:
        OSError: The folder is not empty.
    """
    check_output(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f'{out.name}.{os.getpid()}{PARTIAL}')
    try:
        partial.mkdir()
        yield partial
        if out.is_dir():
            out.rmdir()
        partial.rename(out)
    except BaseException:  # Ctrl-C, too, leaves no half of a dataset
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_dataset(dataset: Dataset, out: Path, copy: bool, move: bool = False) -> WrittenDataset:
    """Write a dataset whose images have their splits; all of it or nothing.

    Args:
        dataset: The dataset.
        out: The folder to write.
        copy: Whether to copy images; else they are linked to.
        move: Whether to move them instead, as they are only extracted.

    Raises:
        OSError: A file cannot be written, or the folder is not empty.
        ValueError: What was written is not what the source holds.
    """
    with written_whole(out) as folder:
        counts = _write(dataset, folder, out.name, copy, move)
    return WrittenDataset(out, counts)


def _write(dataset: Dataset, folder: Path, name: str, copy: bool, move: bool) -> dict[str, Counts]:
    rows: dict[str, tuple[list[Any], list[Any]]] = {}
    names = dataset.skeleton.names
    annotation_id = 0
    for number, (image, file_name) in enumerate(
        zip(dataset.images, output_names(dataset.images)), 1
    ):
        size = place_image(image, folder / 'images' / file_name, copy, move)
        images, annotations = rows.setdefault(image.split or 'train', ([], []))
        images.append(
            dict(image.extra, id=number, file_name=file_name, width=size[0], height=size[1])
        )
        for instance in image.instances:
            annotation_id += 1
            row = annotation_row(instance, names, size, file_name, dataset.tally)
            category_id = dataset.categories.index(instance.category) + 1
            annotations.append(
                dict(row, id=annotation_id, image_id=number, category_id=category_id)
            )
    categories = category_rows(dataset.skeleton, dataset.categories)
    counts = {}
    for split in SPLIT_ORDER:
        if split in rows:
            path = folder / f'annotations/{split}.json'
            images, annotations = rows[split]
            content = dict(images=images, annotations=annotations, categories=categories)
            write_atomically(path, json.dumps(content).encode())
            counts[split] = count_file(path, folder / 'images')
    _check_counts(counts, dataset.tally)
    _write_metainfo(folder, name, next(iter(counts)), dataset)
    return counts


def place_image(image: Image, path: Path, copy: bool, move: bool) -> tuple[int, int]:
    """Write, link or move an image; return its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.read is not None:
        data = image.read()
        path.write_bytes(data)
        if image.size is None:
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if decoded is None:
                raise ValueError(f'{image.annotated_in}: image {image.name!r} cannot be decoded')
            image.size = decoded.shape[1], decoded.shape[0]
    elif image.file is not None:
        if move:
            shutil.move(image.file, path)
        elif copy:
            shutil.copyfile(image.file, path)
        else:
            path.symlink_to(image.file.resolve())
    assert image.size is not None
    return image.size


def category_rows(skeleton: Skeleton, categories: Sequence[str]) -> list[dict[str, Any]]:
    """Return ``categories`` in COCO's format."""
    number_of = {name: number for number, name in enumerate(skeleton.names, 1)}
    links = [[number_of[a], number_of[b]] for a, b in skeleton.links]
    return [
        dict(id=number, name=name, keypoints=list(skeleton.names), skeleton=links)
        for number, name in enumerate(categories, 1)
    ]


def annotation_row(
    instance: Instance,
    names: Sequence[str],
    size: tuple[int, int],
    where: str,
    tally: Tally,
) -> dict[str, Any]:
    """Return an annotation in COCO's format, with a box and an area; without ids.

    Args:
        instance: An instance, with a box or with points.
        names: Names of the keypoints.
        size: Width and height of its image.
        where: The image, for the tally.
        tally: Where boxes and areas that are made are counted.
    """
    keypoints: list[float] = []
    for name in names:
        keypoints += instance.points.get(name, (0, 0, 0))
    box = instance.bbox
    if box is None or not (box[2] > 0 and box[3] > 0):
        box = _box_of_points(instance, size) if instance.points else box or (0, 0, 0, 0)
        tally.repair('instances without a box: one is made around their points', where)
    area = instance.area
    if area is None:
        area = box[2] * box[3] * AREA_PER_BOX
        tally.repair(f'instances without an area: {AREA_PER_BOX} of their boxes', where)
    return dict(
        instance.extra,
        keypoints=keypoints,
        num_keypoints=len(instance.points),
        bbox=list(box),
        area=area,
        iscrowd=int(instance.iscrowd),
    )


def _box_of_points(instance: Instance, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return a box around labelled points, within the image."""
    points = np.array([(point.x, point.y) for point in instance.points.values()])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = BOX_MARGIN * (high - low).max()
    smallest = SMALLEST_BOX * max(size)
    side = np.maximum(high - low + 2 * margin, smallest)
    middle = (low + high) / 2
    low, high = middle - side / 2, middle + side / 2
    inside_low, inside_high = np.clip(low, 0, size), np.clip(high, 0, size)
    if (inside_high > inside_low).all():  # else all points are outside of the image
        low, high = inside_low, inside_high
    x, y, w, h = (float(v) for v in (*low, *(high - low)))
    return x, y, w, h


def count_file(path: Path, images: Path) -> Counts:
    """Read an annotation file again, and count what it holds; images only if they are there."""
    content = read_json(path)
    table = annotation_table(content['annotations'])
    there = sum((images / row['file_name']).is_file() for row in content['images'])
    return Counts(there, len(table['id']), int((table['keypoints'][..., 2] > 0).sum()))


def _check_counts(counts: dict[str, Counts], tally: Tally) -> None:
    written = Counts(*map(sum, zip(*counts.values())))
    expected = tally.expected()
    if written != expected:
        raise ValueError(
            f'the source holds {expected}, without what is left out, but {written} were written; '
            'nothing is kept. This is an error of hrnet_plugin: please report it'
        )


def _write_metainfo(folder: Path, name: str, split: str, dataset: Dataset) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        info = metainfo_from_coco(
            folder / f'annotations/{split}.json', name=name, flip_pairs=dataset.skeleton.flip_pairs
        )
    for warning in caught:
        dataset.tally.notes.append(str(warning.message).replace(f'{folder}{os.sep}', ''))
    dataset.tally.notes.append(
        f'every sigma is {USUAL_SIGMA}: `hrnet-plugin metainfo --repeated` estimates them from '
        'instances that were annotated twice'
    )
    write_atomically(folder / METAINFO, metainfo_source(info).encode())
