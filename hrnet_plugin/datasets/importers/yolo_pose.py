"""YOLO-pose: a ``data.yaml``, and a text file of labels for each image.

Format: https://docs.ultralytics.com/datasets/pose/. Written by hand: sleap-io 0.9.5 reads no
boxes of instances, makes hidden points visible, rounds to float32 and skips lines of two
dimensions or with a visibility such as 2.0 with a warning.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...functional.coco.schema import kind, quote
from .images import image_files, image_size
from .labels import SPLITS, VISIBLE, Image, Instance, Keypoint, Labels, Skeleton, Source, Tally

ZERO = 'points at (0, 0), which tools write for points that are not labelled'
MARGIN = 0.5  # by which a point may be outside of its image, relative to it


@dataclass(frozen=True)
class _Config:
    """What ``data.yaml`` says.

    Attributes:
        file: Its path.
        skeleton: The keypoints.
        dims: Numbers for each keypoint, 2 or 3.
        classes: Names of the classes, by number.
        splits: Split -> paths of folders, images or lists of images.
    """

    file: Path
    skeleton: Skeleton
    dims: int
    classes: dict[int, str]
    splits: dict[str, list[str]]
    root: str


def read_yaml(file: Path) -> Mapping[str, Any]:
    """Read a YAML file that holds a dict.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not such a file; the message has the position.
    """
    import yaml

    try:
        content = yaml.safe_load(file.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = ' '.join(str(error).split())
        raise ValueError(f'{file} cannot be read as YAML: {reason}') from None
    if not isinstance(content, Mapping):
        raise ValueError(f'{file} holds {kind(content)}; expected a dict')
    return content


def read_yolo_pose(source: Source) -> Labels:
    """Read datasets of YOLO-pose.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged, or an image folder does not exist.
    """
    labels = Labels({}, [], Tally())
    for file in source.files:
        config = _read_config(file, source)
        for name in config.classes.values():
            if labels.skeletons.setdefault(name, config.skeleton) != config.skeleton:
                raise ValueError(f'{file}: class {name!r} has other keypoints than in other files')
        for split, paths in config.splits.items():
            for path in paths:
                _read_split(_resolve(config, path, source), split, config, labels)
    return labels


def _read_config(file: Path, source: Source) -> _Config:
    content = read_yaml(file)
    shape = content.get('kpt_shape')
    if not (
        isinstance(shape, (list, tuple))
        and len(shape) == 2
        and all(isinstance(n, int) for n in shape)
        and 0 < shape[0] < 10_000
        and shape[1] in (2, 3)
    ):
        raise ValueError(
            f"{file}: 'kpt_shape' is {quote(shape)}; expected the number of keypoints and of "
            'numbers for each, such as [17, 3], as YOLO-pose has it'
        )
    classes = content.get('names')
    if isinstance(classes, (list, tuple)):
        classes = dict(enumerate(classes))
    if not isinstance(classes, Mapping) or not all(isinstance(n, int) for n in classes):
        raise ValueError(f"{file}: 'names' is {quote(classes)}; expected the names of the classes")
    names, is_named = _names(content.get('kpt_names'), shape[0], file, source)
    splits = {}
    for key, split in SPLITS.items():
        if content.get(key):
            paths = content[key] if isinstance(content[key], list) else [content[key]]
            if not all(isinstance(path, str) for path in paths):
                raise ValueError(f'{file}: {key!r} is {quote(content[key])}; expected a path')
            splits[split] = paths
    if not splits:
        raise ValueError(
            f"{file} has none of 'train', 'val' and 'test'; expected folders of images"
        )
    root = content.get('path') or ''
    return _Config(
        file,
        Skeleton(names, (), _flip_pairs(content.get('flip_idx'), names, file), is_named),
        shape[1],
        {number: str(name) for number, name in classes.items()},
        splits,
        root if isinstance(root, str) else '',
    )


def _names(given: Any, k: int, file: Path, source: Source) -> tuple[tuple[str, ...], bool]:
    """Return names of the keypoints, and whether the file gives them (the same of all classes)."""
    if isinstance(given, Mapping) and given:
        given = next(iter(given.values()))
    if source.keypoint_names or not given:
        return source.numbered_names(k), False
    if not isinstance(given, list) or len({*map(str, given)}) != k:
        raise ValueError(f"{file}: 'kpt_names' is {quote(given)}; expected {k} distinct names")
    return tuple(map(str, given)), True


def _flip_pairs(flip: Any, names: Sequence[str], file: Path) -> tuple[tuple[str, str], ...] | None:
    if flip is None or flip == []:
        return None
    k = len(names)
    if (
        not isinstance(flip, list)
        or sorted(map(str, flip)) != sorted(map(str, range(k)))
        or any(flip[flip[i]] != i for i in range(k))
    ):
        raise ValueError(
            f"{file}: 'flip_idx' is {quote(flip)}; expected for each of {k} keypoints the number "
            'of the one it is swapped with, mutually'
        )
    return tuple((names[i], names[j]) for i, j in enumerate(flip) if i < j)


def _resolve(config: _Config, text: str, source: Source) -> Path:
    """Return the path of a split; exporters write it from various folders."""
    here = config.file.parent
    plain = text.replace('\\', '/')
    inside = plain
    while inside.startswith(('../', './')):  # Roboflow's ../train/images is train/images
        inside = inside.partition('/')[2]
    tried = [here / config.root / plain, here / plain, here / inside]
    if source.images is not None:
        tried += [source.images / inside, source.images]
    for path in tried:
        if path.exists():
            return path
    raise FileNotFoundError(
        f'{config.file}: {text!r} is neither {tried[0]} nor {tried[-1]}; expected a folder of '
        'images'
    )


def _read_split(path: Path, split: str, config: _Config, labels: Labels) -> None:
    if path.is_dir():
        files = image_files(path)
    elif path.suffix == '.txt':
        files = [path.parent / line.strip() for line in _lines(path) if line.strip()]
    else:
        files = [path]
    label_files = {label_path(file): file for file in files}
    if path.is_dir():
        others = label_path(path / 'x').parent
        for file in sorted(others.rglob('*.txt')) if others.is_dir() else ():
            label_files.setdefault(file, file.with_suffix(''))
    for label_file, file in label_files.items():
        is_there = file.is_file()
        size = image_size(file) if is_there else None
        image = Image(str(file), config.file, file if size else None, size=size, split=split)
        labels.tally.find(images=1)
        if label_file.is_file():
            image.instances = _read_labels(label_file, size or (1, 1), config, labels.tally)
        if size is None:
            reason = 'images that cannot be read' if is_there else 'images that are not there'
            counts = image.counts()._asdict()
            labels.tally.leave_out(reason, str(file), **counts)
        else:
            labels.images.append(image)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding='utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{file} is not text in UTF-8: {error}') from None


def label_path(image: Path) -> Path:
    """Return the path of an image's labels: the last folder ``images`` is ``labels``.

    >>> label_path(Path('a/images/train/1.jpg')).as_posix()
    'a/labels/train/1.txt'
    """
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == 'images':
            parts[place] = 'labels'
            break
    return Path(*parts).with_suffix('.txt')


def _read_labels(
    file: Path, size: tuple[int, int], config: _Config, tally: Tally
) -> list[Instance]:
    instances = []
    k, dims = len(config.skeleton.names), config.dims
    for number, line in enumerate(_lines(file), 1):
        where = f'{file}, line {number}'
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            raise ValueError(f'{where}: {quote(line)}; expected numbers') from None
        if not values:
            continue
        if len(values) not in (5, 5 + k * dims) or not all(map(math.isfinite, values)):
            raise ValueError(
                f'{where} has {len(values)} numbers; expected {5 + k * dims}: a class, a box of 4 '
                f'numbers and {k} keypoints of {dims}, as kpt_shape says'
            )
        if values[0] not in config.classes:
            raise ValueError(
                f'{where}: the class is {values[0]:g}; expected one of {sorted(config.classes)}'
            )
        if not all(-MARGIN <= v <= 1 + MARGIN for v in values[1:5]):
            raise ValueError(
                f'{where}: the box is {values[1:5]}; expected fractions of width and height, '
                '0 to 1'
            )
        x, y, w, h = (v * side for v, side in zip(values[1:5], size * 2))
        points = _points(values[5:], size, config, where, tally)
        category = config.classes[int(values[0])]
        instances.append(Instance(points, (x - w / 2, y - h / 2, w, h), category))
    tally.find(instances=len(instances))
    return instances


def _points(
    values: list[float], size: tuple[int, int], config: _Config, where: str, tally: Tally
) -> dict[str, Keypoint]:
    points = {}
    for n, name in enumerate(config.skeleton.names):
        own = values[n * config.dims : (n + 1) * config.dims]
        if not own:  # a box alone
            continue
        x, y, v = *own[:2], own[2] if config.dims == 3 else VISIBLE
        if v <= 0:
            continue
        if config.dims == 2 and ((x, y) == (0, 0) or x < 0 or y < 0):
            continue  # two dimensions have no other way to say that a point is not labelled
        tally.find(points=1)
        if (x, y) == (0, 0):
            tally.leave_out(ZERO, f'{name!r} in {where}', points=1)
            continue
        if not all(-MARGIN <= c <= 1 + MARGIN for c in (x, y)):
            raise ValueError(
                f'{where}: {name!r} is at {x:g}, {y:g}; expected fractions of width and height, '
                '0 to 1'
            )
        visibility = int(v) if v in (1, 2) else VISIBLE
        if v not in (1, 2):
            tally.repair('visibilities other than 0, 1 and 2: taken as 2', where)
        points[name] = Keypoint(x * size[0], y * size[1], visibility)
    return points


def write_yolo_labels(
    file: Path,
    size: tuple[int, int],
    instances: Sequence[Instance],
    names: Sequence[str],
    classes: Sequence[str],
) -> None:
    """Write the labels of an image, with 3 numbers for each keypoint.

    Args:
        file: The text file.
        size: Width and height of the image.
        instances: Its instances, with boxes.
        names: Names of the keypoints.
        classes: Names of the categories.
    """
    lines = []
    for instance in instances:
        if instance.bbox is None:
            raise ValueError(f'{file}: an instance has no box, which YOLO-pose needs')
        x, y, w, h = instance.bbox
        values = [
            (x + w / 2) / size[0],
            (y + h / 2) / size[1],
            w / size[0],
            h / size[1],
        ]
        for name in names:
            point = instance.points.get(name)
            values += (
                [point.x / size[0], point.y / size[1], point.visibility] if point else [0, 0, 0]
            )
        lines.append(' '.join([str(classes.index(instance.category)), *map(repr, values)]))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')
