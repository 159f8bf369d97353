"""Keypoints in COCO's format, as CVAT, Label Studio, Roboflow and COCO-Annotator export them.

Whatever has one meaning is repaired and counted; the rest is an error of the one reader of
COCO's format, ``functional.coco``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...functional.coco.arrays import annotation_table
from ...functional.coco.ids import as_id
from ...functional.coco.schema import (
    check_coco_dict,
    coco_entries,
    errors_name,
    keypoint_names,
    keypoints_problem,
    kind,
    quote,
    skeleton_links,
)
from ...utils.json_files import read_json
from .labels import (
    HIDDEN,
    VISIBLE,
    Image,
    Instance,
    Keypoint,
    Labels,
    Skeleton,
    Source,
    Tally,
    split_of_name,
)

IMAGE_FIELDS = ('id', 'file_name', 'width', 'height')
INSTANCE_FIELDS = (
    'id',
    'image_id',
    'category_id',
    'keypoints',
    'num_keypoints',
    'bbox',
    'area',
    'iscrowd',
)


def read_coco(source: Source) -> Labels:
    """Read files in COCO's format; those of other tasks are left out.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is not in COCO's format, or none has keypoints.
    """
    labels = Labels({}, [], Tally())
    for file in source.files:
        content = read_json(file)
        with errors_name(file):
            check_coco_dict(content)
            _read_file(file, content, source, labels)
    if not labels.skeletons:
        raise ValueError(
            f"{source.files[0]}: no category and no annotation has keypoints; expected COCO's "
            'format with keypoints, not boxes or masks alone'
        )
    return labels


def _read_file(file: Path, content: Mapping[str, Any], source: Source, labels: Labels) -> None:
    tally = labels.tally
    rows = coco_entries(content, 'annotations')
    categories = _categories(content, rows, tally)
    skeletons = _skeletons(file, categories, rows, source, tally)
    if not skeletons:
        tally.leave_out('files without keypoints', file.name)
        return
    names = _category_names(categories)
    for category, skeleton in skeletons.items():
        known = labels.skeletons.setdefault(names[category], skeleton)
        if known.names != skeleton.names:
            raise ValueError(
                f'category {names[category]!r} has other keypoints than in other files; import '
                'each file on its own'
            )
    images = _images(file, content, source, labels)
    kept = []
    for number, row in enumerate(_renumbered(row, tally) for row in rows):
        where = f'annotation {quote(row.get("id", number))}'
        category = row.get('category_id')
        if category not in categories:
            raise ValueError(
                f"{where}: 'category_id' is {quote(category)}; expected one of the 'categories', "
                f'{quote(sorted(categories, key=str))}'
            )
        if category not in skeletons:
            name = names[category]
            tally.find(instances=1)
            tally.leave_out(f'instances of {name!r}, which has no keypoints', where, instances=1)
            continue
        if row.get('image_id') not in images:
            raise ValueError(
                f"{where}: 'image_id' is {quote(row.get('image_id'))}, which is not among the "
                "'images'"
            )
        kept.append(_repaired(row, where, len(skeletons[category].names), tally))
    for category, skeleton in skeletons.items():
        own = [row for row in kept if row['category_id'] == category]
        table = annotation_table([{**row, 'bbox': row['bbox'] or [0, 0, 0, 0]} for row in own])
        if len(own) and table['keypoints'].shape[1] not in (0, len(skeleton.names)):
            raise ValueError(
                f'annotations of category {names[category]!r} have '
                f'{table["keypoints"].shape[1]} keypoints; expected {len(skeleton.names)}, as '
                'the category names'
            )
        for row, keypoints in zip(own, table['keypoints'].tolist()):
            images[row['image_id']].instances.append(
                _instance(row, keypoints, skeleton, names[category], tally)
            )


def _categories(
    content: Mapping[str, Any], rows: list[Mapping[str, Any]], tally: Tally
) -> dict[Any, Mapping[str, Any]]:
    """Return the categories by id; one that is made up if there are none."""
    entries = coco_entries(content, 'categories') if content.get('categories') else []
    if not entries:
        tally.repair("'categories' are missing: one is made", 'object')
        ids = dict.fromkeys(_id(row.get('category_id'), 'category_id') for row in rows)
        entries = [dict(id=i, name=f'object_{i}' if len(ids) > 1 else 'object') for i in ids]
    found: dict[Any, Mapping[str, Any]] = {}
    for entry in entries:
        key = _id(entry.get('id'), 'category')
        if key in found:
            raise ValueError(f'two categories have the id {quote(key)}')
        found[key] = entry
    return found


def _category_names(categories: Mapping[Any, Mapping[str, Any]]) -> dict[Any, str]:
    return {i: str(entry.get('name') or i) for i, entry in categories.items()}


def _skeletons(
    file: Path,
    categories: Mapping[Any, Mapping[str, Any]],
    rows: list[Mapping[str, Any]],
    source: Source,
    tally: Tally,
) -> dict[Any, Skeleton]:
    """Return the keypoints of each category that has any, by its id."""
    lengths: dict[Any, int] = {}
    for row in rows:
        points = row.get('keypoints')
        if isinstance(points, (list, tuple)) and points:
            count = len(points) if isinstance(points[0], (list, tuple)) else len(points) // 3
            lengths.setdefault(_id(row.get('category_id'), 'category_id'), count)
    found = {}
    for category, entry in categories.items():
        if entry.get('keypoints'):
            names = tuple(keypoint_names(entry))
            is_named = True
        elif category in lengths:
            names, is_named = source.numbered_names(lengths[category]), False
            tally.repair('categories whose keypoints have no names: they are numbered', file.name)
        else:
            continue
        if 'skeleton' not in entry:
            tally.repair('categories without a skeleton: none is drawn', file.name)
        links = tuple((names[a], names[b]) for a, b in skeleton_links(entry, names))
        found[category] = Skeleton(names, links, None, is_named)
    return found


def _images(
    file: Path, content: Mapping[str, Any], source: Source, labels: Labels
) -> dict[Any, Image]:
    """Add the images of a file; return them by id."""
    found: dict[Any, Image] = {}
    split = split_of_name(file.stem) or source.split_of(file)
    for number, entry in enumerate(coco_entries(content, 'images')):
        where = f'image {quote(entry.get("id", number))}'
        key = _id(entry.get('id'), where)
        name = entry.get('file_name')
        if not isinstance(name, str) or not name:
            raise ValueError(f"{where}: 'file_name' is {kind(name)}; expected the image's path")
        if key in found:
            raise ValueError(
                f'two images have the id {quote(key)}, {found[key].name!r} and {name!r}'
            )
        if isinstance(entry['id'], str):
            labels.tally.repair('ids that are text: numbers are given', where)
        size = _size(entry)
        if size is None:
            labels.tally.repair('images without width and height: read from the files', name)
        extra = {k: v for k, v in entry.items() if k not in IMAGE_FIELDS}
        found[key] = Image(name, file, size=size, split=split, extra=extra)
    labels.images += found.values()
    labels.tally.find(images=len(found))
    return found


def _size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    sides = [_number(entry.get(name)) for name in ('width', 'height')]
    if any(side is None or not 0 < side < 2**31 for side in sides):
        return None
    return int(sides[0] or 0), int(sides[1] or 0)


def _renumbered(row: Mapping[str, Any], tally: Tally) -> dict[str, Any]:
    """Return an annotation whose ids of image and category are comparable."""
    fields = ('image_id', 'category_id')
    if any(isinstance(row.get(name), str) for name in fields):
        tally.repair('ids that are text: numbers are given', f'annotation {quote(row.get("id"))}')
    return {**row, **{name: _id(row.get(name), name) for name in fields}}


def _id(value: Any, where: str) -> Any:
    if not isinstance(value, (int, float, str)):
        raise ValueError(f'{where}: the id is {kind(value)}; expected a number')
    return as_id(value)


def _number(value: Any) -> float | None:
    """Return a finite number, also of text; None for anything else."""
    if isinstance(value, (int, float, str)):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if np.isfinite(number) else None
    return None


def _repaired(row: dict[str, Any], where: str, k: int, tally: Tally) -> dict[str, Any]:
    """Return an annotation with what tools leave out or write in another form."""
    row = dict(row)
    row['keypoints'] = _repaired_keypoints(row.get('keypoints'), where, k, tally)
    # Recounted from the keypoints
    given = row.pop('num_keypoints', None)
    labelled = sum(1 for v in row['keypoints'][2::3] if v is not None and v > 0)
    tally.find(instances=1, points=labelled)
    if given is None or isinstance(given, bool) or given != labelled:
        problem = 'no num_keypoints' if given is None else 'a wrong num_keypoints'
        tally.repair(f'{problem}: counted', where)
    box = row.get('bbox')
    numbers = [_number(v) for v in box] if isinstance(box, (list, tuple)) else []
    if len(numbers) == 4 and None not in numbers:
        row['bbox'] = numbers
    elif box is None or box == []:
        row['bbox'] = None
    else:
        raise ValueError(
            f"{where}: 'bbox' is {quote(box)}; expected 4 numbers, x, y, width and height"
        )
    area = row.get('area')
    row['area'] = _number(area)
    if row['area'] is None and area is not None:
        raise ValueError(f"{where}: 'area' is {quote(area)}; expected a number")
    return row


def _repaired_keypoints(given: Any, where: str, k: int, tally: Tally) -> list[Any]:
    """Return a flat list of numbers; visibility of 0, 1 or 2."""
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return [0] * 3 * k
    if isinstance(given, (list, tuple)) and all(
        isinstance(point, (list, tuple)) and len(point) == 3 for point in given
    ):
        tally.repair('keypoints that are a list of lists: made flat', where)
        given = [value for point in given for value in point]
    if problem := keypoints_problem(given, k):
        raise ValueError(f'{where}: {problem}')
    if len(given) != 3 * k:
        raise ValueError(f'{where} has {len(given) // 3} keypoints; expected {k}')
    values: list[Any] = []
    for place, value in enumerate(given):
        number = _number(value)
        is_nan = value is None or (isinstance(value, float) and not np.isfinite(value))
        if number is None and not is_nan:
            raise ValueError(
                f'{where}: keypoint {place // 3 + 1} has {quote(value)}; expected a number'
            )
        if isinstance(value, str):
            tally.repair('numbers that are text: read as numbers', where)
        values.append(number)
    for place in range(2, len(values), 3):
        x, y, v = values[place - 2 : place + 1]
        if v is None or not 0 <= v:
            raise ValueError(
                f'{where}: keypoint {place // 3 + 1} has the visibility {quote(v)}; expected 0, '
                '1 or 2'
            )
        if v > 0 and (x is None or y is None):
            raise ValueError(
                f'{where}: keypoint {place // 3 + 1} is labelled, but at {quote([x, y])}; '
                'expected two numbers'
            )
        if v not in (0, HIDDEN, VISIBLE):
            tally.repair('visibilities other than 0, 1 and 2: taken as 2', where)
            values[place] = VISIBLE
        if v == 0:
            values[place - 2 : place] = 0, 0
    return values


def _instance(
    row: Mapping[str, Any],
    keypoints: list[list[float]],
    skeleton: Skeleton,
    category: str,
    tally: Tally,
) -> Instance:
    points = {}
    for name, (x, y, v) in zip(skeleton.names, keypoints):
        if v > 0 and x == y == 0:
            reason = 'points at (0, 0), which tools write for points that are not labelled'
            tally.leave_out(reason, f'{name!r} of annotation {quote(row.get("id"))}', points=1)
        elif v > 0:
            points[name] = Keypoint(x, y, int(v))
    area = row['area'] if row['area'] is not None and row['area'] > 0 else None
    box = row['bbox']
    return Instance(
        points,
        (box[0], box[1], box[2], box[3]) if box else None,
        category,
        area,
        bool(row.get('iscrowd')),
        {k: v for k, v in row.items() if k not in INSTANCE_FIELDS},
    )
