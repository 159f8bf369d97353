"""Find the annotations and images to train on, and what a training needs to know of them."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets.metainfo import metainfo_from_coco
from ...functional.coco.arrays import coco_to_arrays
from ...functional.coco.schema import check_coco_dict, coco_entries, errors_name, keypoint_names
from ...utils.atomic_files import write_atomically
from ...utils.json_files import read_json
from .config_text import to_plain
from .derive import median_aspect, split, usable_instances

PROBED_IMAGES = 50  # files that are looked for in a folder of images
# Metainfo of MMPose, whose sigmas are published for these keypoints
COCO_METAINFO = 'configs/_base_/datasets/coco.py'


@dataclass(frozen=True)
class Annotations:
    """A file of annotations.

    Attributes:
        path: The file.
        images: Folder that its ``file_name`` are relative to.
        num_images: Number of images.
        num_instances: Number of instances that MMPose trains on.
        num_keypoints: K of the instances.
        aspect: Median of width / height of their boxes.
    """

    path: Path
    images: Path
    num_images: int
    num_instances: int
    num_keypoints: int
    aspect: float


@dataclass(frozen=True)
class Source:
    """Where annotations for training and validation are.

    Attributes:
        train: File for training.
        val: File for validation; None to split it off.
        root: Folder of the dataset.
    """

    train: Path
    val: Path | None
    root: Path


def find_source(data: str | Path, val: str | Path | None = None) -> Source:
    """Find the files of annotations of a dataset.

    Args:
        data: Folder with ``annotations/train.json``, or another one whose name has ``train``, or
            a single JSON file; or the file itself.
        val: File for validation; by default ``val`` in the place of ``train`` in a folder.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Several could be meant.
    """
    path = Path(data).expanduser().absolute()
    given = None if val is None else Path(val).expanduser().absolute()
    if given is not None and not given.is_file():
        raise FileNotFoundError(f'--val {val}: there is no such file')
    if path.is_file():
        root = path.parent.parent if path.parent.name == 'annotations' else path.parent
        return Source(path, given, root)
    if not path.is_dir():
        raise FileNotFoundError(
            f'{data}: there is no such file or folder; expected annotations in COCO format, or '
            'a folder with annotations/train.json, as `hrnet-plugin import` writes it'
        )
    files = sorted((path / 'annotations').glob('*.json')) or sorted(path.glob('*.json'))
    if not files:
        raise FileNotFoundError(
            f'{data} has no annotations: expected annotations/train.json in COCO format, as '
            '`hrnet-plugin import` writes it, or the path of a JSON file'
        )
    train = _choose(files, 'train')
    if train is None:
        if len(files) > 1:
            raise ValueError(
                f'{data} has several files of annotations, {", ".join(f.name for f in files)}, '
                'of which none is clearly for training: give the path of one, and --val'
            )
        train = files[0]
    return Source(train, given or _choose(files, 'val'), path)


def _choose(files: Sequence[Path], word: str) -> Path | None:
    """Return the one file for a purpose: named so, of people's keypoints, or the only one."""
    for stem in (word, f'person_keypoints_{word}'):
        named = [f for f in files if f.stem == stem or f.stem.startswith(f'{stem}20')]
        if len(named) == 1:
            return named[0]
    named = [f for f in files if word in f.stem.split('_') or f.stem.endswith(f'_{word}')]
    return named[0] if len(named) == 1 else None


def read_annotations(path: Path, root: Path, images: str | Path | None = None) -> Annotations:
    """Read what a training needs to know of a file of annotations.

    Args:
        path: The file.
        root: Folder of the dataset, in which images are looked for.
        images: Folder of the images, if it is known.

    Raises:
        OSError: The file, or the folder of its images, is not there.
        ValueError: It is not in COCO's format, or has no usable instance.
    """
    content = read_json(path)
    with errors_name(path):
        check_coco_dict(content)
        table = coco_to_arrays(content)['annotations']
        keypoints, boxes = table['keypoints'], table['bbox']
        usable = usable_instances(boxes, keypoints, table['iscrowd'])
        if not usable.any():
            raise ValueError(
                f'none of its {len(usable)} annotations has a box and a labelled keypoint: there '
                'is nothing to train on'
            )
        entries = coco_entries(content, 'images')
    names = [str(entry.get('file_name')) for entry in entries]
    return Annotations(
        path=path,
        images=find_images(names, path, root, images),
        num_images=len(entries),
        num_instances=int(usable.sum()),
        num_keypoints=keypoints.shape[1],
        aspect=round(median_aspect(boxes[usable]), 3),
    )


def find_images(
    names: Sequence[str], path: Path, root: Path, given: str | Path | None = None
) -> Path:
    """Find the folder that the file names of images are relative to.

    Args:
        names: The file names.
        path: The file of annotations.
        root: Folder of the dataset.
        given: Folder of the images, if it is known.

    Returns:
        The folder with the most of some of the files, the first of equal ones: for
        ``annotations/…_NAME.json`` ``images/NAME``, ``NAME``, ``images``, the dataset's folder,
        the file's own.

    Raises:
        FileNotFoundError: The images are in none of these.
    """
    steps = np.linspace(0, len(names) - 1, min(len(names), PROBED_IMAGES)).round().astype(int)
    probed = [names[i] for i in steps]
    if given is not None:
        folders = [Path(given).expanduser().absolute()]
    else:
        name = path.stem.rpartition('_')[2]
        parts = (root / 'images' / name, root / name, root / 'images', root, path.parent)
        folders = list(dict.fromkeys(parts))
    counts = [sum((folder / name).is_file() for name in probed) for folder in folders]
    if probed and not any(counts):
        raise FileNotFoundError(
            f'{probed[0]} and other images of {path} are not in '
            f'{", ".join(map(str, folders))}: give their folder with --images'
        )
    return folders[counts.index(max(counts))]


def split_annotations(source: Path, folder: Path, seed: int) -> tuple[Path, Path]:
    """Split a file of annotations by image into one for training and one for validation.

    Args:
        source: The file.
        folder: Where ``train.json`` and ``val.json`` are written.
        seed: Seed of the split.

    Returns:
        The two files.

    Raises:
        ValueError: It has fewer than two images with instances to train on.
    """
    content = read_json(source)
    with errors_name(source):
        check_coco_dict(content)
        images = coco_entries(content, 'images')
        annotations = coco_entries(content, 'annotations')
        annotated = {annotation.get('image_id') for annotation in annotations}
        ids = [image['id'] for image in images if image.get('id') in annotated]
        if len(ids) < 2:
            raise ValueError(
                f'{len(ids)} annotated image cannot be split into training and validation: '
                'annotate more, or give --val'
            )
        held_out = set(split(ids, seed)[1])
    paths = folder / 'train.json', folder / 'val.json'
    for path, is_val in zip(paths, (False, True)):
        part = {
            **content,
            'images': [i for i in images if (i.get('id') in held_out) == is_val],
            'annotations': [a for a in annotations if (a.get('image_id') in held_out) == is_val],
        }
        write_atomically(path, json.dumps(part).encode())
    return paths


def find_metainfo(
    train: Path, root: Path, given: str | Path | None = None
) -> tuple[dict[str, Any], str]:
    """Return the metainfo of a dataset, and where it comes from.

    Args:
        train: File of annotations.
        root: Folder of the dataset, which may hold ``metainfo.py``.
        given: File of metainfo.

    Raises:
        OSError: A file is not there.
        ValueError: Neither metainfo nor annotations name the keypoints.
    """
    path = root / 'metainfo.py' if given is None else Path(given).expanduser().absolute()
    if given is not None and not path.is_file():
        raise FileNotFoundError(f'--metainfo {given}: there is no such file')
    if path.is_file():
        return read_metainfo(path), str(path)
    content = read_json(train)
    if is_coco_person(content):
        info = mmpose_metainfo(COCO_METAINFO)
        return info, "MMPose's of COCO, whose 17 keypoints the annotations have"
    with errors_name(train), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # checks before the training report the same
        try:
            info = metainfo_from_coco(content, name=root.name)
        except ValueError as error:
            raise ValueError(f'{error}. Or give a file of metainfo, --metainfo FILE') from error
    return info, f'the categories of {train.name}; without metainfo.py, every sigma is 0.05'


def is_coco_person(content: Any) -> bool:
    """Return whether the categories of annotations name COCO's 17 keypoints of people."""
    names = [i['name'] for i in mmpose_metainfo(COCO_METAINFO)['keypoint_info'].values()]
    with_keypoints = [
        category for category in coco_entries(content, 'categories') if category.get('keypoints')
    ]
    return bool(with_keypoints) and all(keypoint_names(c) == names for c in with_keypoints)


def mmpose_metainfo(name: str) -> dict[str, Any]:
    """Return the metainfo in a config of MMPose's package."""
    import mmpose

    return read_metainfo(Path(mmpose.__file__).parent / '.mim' / name)


def read_metainfo(path: Path) -> dict[str, Any]:
    """Return the ``dataset_info`` of a file of metainfo.

    Raises:
        ValueError: The file has none, or fails.
    """
    from mmengine.config import Config

    try:
        info = Config.fromfile(path).get('dataset_info')
    except Exception as error:  # it is Python, which can fail in any way
        reason = ' '.join(str(error).split())
        raise ValueError(f'{path} cannot be read: {type(error).__name__}: {reason}') from error
    if not isinstance(info, Mapping) or not info.get('keypoint_info'):
        raise ValueError(
            f'{path} has no dataset_info with keypoint_info; expected a file such as '
            '`hrnet-plugin metainfo` writes'
        )
    return to_plain(info)
