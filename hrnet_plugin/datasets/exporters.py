"""Export a dataset in COCO's format to other formats."""

import ast
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ..utils.atomic_files import write_atomically
from ..utils.errors import unknown_name
from .importers.images import output_names
from .importers.labelme import LABELS_FILE, write_labelme
from .importers.labels import Counts
from .importers.reading import Dataset, read_dataset
from .importers.writer import (
    METAINFO,
    SPLIT_ORDER,
    annotation_row,
    place_image,
    write_dataset,
    written_whole,
)
from .importers.yolo_pose import write_yolo_labels
from .mirror_pairs import find_mirror_pairs


def export_dataset(
    data: str | Path, path: str | Path, format: str, copy: bool = False
) -> tuple[Counts, list[str]]:
    """Write a dataset in COCO's format in another format.

    Args:
        data: A folder as ``import_dataset`` writes it, or annotations in COCO's format.
        path: The folder to write, which must be empty or not exist.
        format: ``'coco'``, ``'labelme'`` or ``'yolo-pose'``.
        copy: Whether to copy images; else they are linked to.

    Returns:
        How much was written, and a line about each kind of thing that was left out.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: The annotations are damaged, or the format is unknown.
    """
    if format not in EXPORTS:
        raise ValueError(unknown_name('format', format, EXPORTS))
    data, path = Path(data), Path(path)
    pairs = _flip_pairs_of(data / METAINFO) if data.is_dir() else None
    dataset = read_dataset(data, 'coco', flip_pairs=pairs or ())
    if pairs is None:
        mirrored = find_mirror_pairs(dataset.skeleton.names).mirrored
        pairs = tuple((a, b) for a, b in mirrored.items() if a < b)
    dataset.skeleton = dataset.skeleton._replace(flip_pairs=pairs)
    for image in dataset.images:
        image.split = image.split or 'train'
    if format == 'coco':
        write_dataset(dataset, path, copy)
    else:
        _leave_out_masks(dataset)
        with written_whole(path) as folder:
            EXPORTS[format](dataset, folder, copy)
    return dataset.tally.expected(), dataset.tally.left_out_lines()


def _leave_out_masks(dataset: Dataset) -> None:
    """Leave out what only COCO's format holds; give every instance a box."""
    tally, names = dataset.tally, dataset.skeleton.names
    for image in dataset.images:
        kept = []
        for each in image.instances:
            if each.iscrowd:
                points = len(each.points)
                tally.leave_out('crowds', image.name, instances=1, points=points)
                continue
            if each.extra:
                tally.leave_out(f'fields of annotations ({", ".join(each.extra)})', image.name)
            row = annotation_row(each, names, image.size or (1, 1), image.name, tally)
            x, y, w, h = row['bbox']
            each.bbox = x, y, w, h
            kept.append(each)
        image.instances = kept


def _export_labelme(dataset: Dataset, folder: Path, copy: bool) -> None:
    """Write a JSON file beside each image, in a folder for each split, and ``labels.txt``."""
    for image, name in zip(dataset.images, _distinct_stems(output_names(dataset.images))):
        file = folder / str(image.split) / name
        size = place_image(image, file, copy, False)
        write_labelme(file.with_suffix('.json'), file.name, size, image.instances)
    labels = [*dataset.skeleton.names, *dataset.categories]
    write_atomically(folder / LABELS_FILE, ''.join(f'{label}\n' for label in labels).encode())


def _export_yolo_pose(dataset: Dataset, folder: Path, copy: bool) -> None:
    """Write ``images/SPLIT``, ``labels/SPLIT`` and ``data.yaml``."""
    names, classes = dataset.skeleton.names, dataset.categories
    for image, name in zip(dataset.images, _distinct_stems(output_names(dataset.images))):
        size = place_image(image, folder / f'images/{image.split}' / name, copy, False)
        labels = (folder / f'labels/{image.split}' / name).with_suffix('.txt')
        write_yolo_labels(labels, size, image.instances, names, classes)
    flip = {a: b for pair in dataset.skeleton.flip_pairs or () for a, b in (pair, pair[::-1])}
    content = {
        **{
            split: f'images/{split}'
            for split in SPLIT_ORDER
            if (folder / 'images' / split).is_dir()
        },
        'kpt_shape': [len(names), 3],
        'flip_idx': [names.index(flip.get(name, name)) for name in names],
        'names': dict(enumerate(classes)),
        'kpt_names': {number: list(names) for number in range(len(classes))},
    }
    # JSON is YAML, but for its keys of dicts, which are numbers here
    lines = [f'{key}: {_yaml(value)}\n' for key, value in content.items()]
    write_atomically(folder / 'data.yaml', ''.join(lines).encode())


def _yaml(value: object) -> str:
    if isinstance(value, dict):
        return ''.join(f'\n  {key}: {json.dumps(each)}' for key, each in value.items())
    return json.dumps(value)


def _distinct_stems(names: list[str]) -> list[str]:
    """Return names that differ without their suffixes, by which labels are found."""
    taken: set[str] = set()
    distinct = []
    for name in names:
        path, number = PurePosixPath(name), 1
        stem = path.with_suffix('')
        while stem.as_posix() in taken:
            number += 1
            stem = path.with_name(f'{path.stem}_{number}')
        taken.add(stem.as_posix())
        distinct.append(stem.as_posix() + path.suffix)
    return distinct


def _flip_pairs_of(metainfo: Path) -> tuple[tuple[str, str], ...] | None:
    """Return the pairs of a metainfo file; None if there is none, or it is not as we write it."""
    try:
        body = ast.parse(metainfo.read_text(encoding='utf-8')).body
        value = next(node.value for node in body if isinstance(node, ast.Assign))
        assert isinstance(value, ast.Call)
        fields = {each.arg: each.value for each in value.keywords}
        keypoints = ast.literal_eval(fields['keypoint_info']).values()
        pairs = [(each['name'], each['swap']) for each in keypoints]
    except (OSError, SyntaxError, ValueError, LookupError, StopIteration, AssertionError):
        return None
    return tuple((a, b) for a, b in pairs if a < b)


EXPORTS: dict[str, Callable[[Dataset, Path, bool], object]] = {
    'coco': write_dataset,
    'labelme': _export_labelme,
    'yolo-pose': _export_yolo_pose,
}
"""Writers by format, each called with a dataset, a folder and whether to copy images."""
