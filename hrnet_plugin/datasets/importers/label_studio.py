"""Label Studio's JSON: keypoints and rectangles in percent of the image.

Written by hand: sleap-io 0.9.5 reads only tasks of videos, ignores ``parentID``, loses all but
the first annotation of a task without a count, and gives keypoints a random order.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...functional.coco.schema import kind, quote
from ...utils.json_files import read_json
from .images import SUFFIXES
from .labels import (
    HIDDEN,
    VISIBLE,
    Image,
    Keypoint,
    Labels,
    Skeleton,
    Source,
    Tally,
    ordered_names,
)
from .shapes import BoxShape, PointShape, group_shapes

HIDDEN_CHOICES = ('occluded', 'hidden', 'invisible', 'not visible')  # of a point, if it has any
NO_SHAPES = ('choices', 'relation', 'textarea', 'rating', 'number', 'taxonomy')


def read_label_studio(source: Source) -> Labels:
    """Read Label Studio's JSON.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is not Label Studio's, or none has keypoints.
    """
    tally = Tally()
    images: list[Image] = []
    for file in source.files:
        tasks = read_json(file)
        if isinstance(tasks, Mapping):  # one task
            tasks = [tasks]
        for number, task in enumerate(tasks):
            image = _read_task(file, f'{file}: task {number}', task, tally)
            if image is not None:
                images.append(image)
    names = ordered_names((), images)
    if not names:
        raise ValueError(
            f'{source.files[0]} has no keypoints in {len(images)} annotated images; expected '
            'results of type "keypointlabels"'
        )
    return Labels({'': Skeleton(names)}, images, tally)


def _read_task(file: Path, where: str, task: Any, tally: Tally) -> Image | None:
    if not isinstance(task, Mapping) or not isinstance(task.get('data'), Mapping):
        raise ValueError(
            f'{where} is {kind(task) if not isinstance(task, Mapping) else quote(list(task))}; '
            "expected a task of Label Studio's export \"JSON\" (not JSON-MIN), a dict of 'data' "
            "and 'annotations'"
        )
    if 'id' in task:
        where = f'{file}: task {quote(task["id"])}'
    tally.find(images=1)
    annotations = task.get('annotations', task.get('completions'))
    if not isinstance(annotations, list):
        raise ValueError(f"{where}: 'annotations' is {kind(annotations)}; expected a list")
    name = _image_name(task, where)
    image = Image(name, file)
    done = [each for each in annotations if isinstance(each, Mapping)]
    done = [each for each in done if not each.get('was_cancelled')]
    if not done:
        tally.leave_out('images that nobody annotated', name, images=1)
        return None
    # That which the project calls the truth, else the latest
    best = max(enumerate(done), key=lambda each: (bool(each[1].get('ground_truth')), each[0]))[0]
    for other in done[:best] + done[best + 1 :]:
        tally.leave_out(
            'further annotations of the same image', f'{name} ({quote(other.get("id"))})'
        )
    results = done[best].get('result')
    if not isinstance(results, list) or not all(isinstance(each, Mapping) for each in results):
        raise ValueError(f"{where}: 'result' is {kind(results)}; expected a list of dicts")
    if any(each.get('image_rotation') for each in results):
        tally.leave_out('images that were turned in Label Studio', name, images=1)
        return None
    _read_results(results, image, where, tally)
    return image


def _image_name(task: Mapping[str, Any], where: str) -> str:
    data = {k: v for k, v in task['data'].items() if isinstance(v, str)}
    found = data.get('image') or next(
        (v for v in data.values() if v.partition('?')[0].lower().endswith(SUFFIXES)), None
    )
    found = found or task.get('file_upload')
    if not isinstance(found, str) or not found:
        raise ValueError(f"{where}: 'data' has {quote(list(data))}; expected an image")
    return found


def _read_results(
    results: list[Mapping[str, Any]], image: Image, where: str, tally: Tally
) -> None:
    box_results = {_id(each): each for each in results if each.get('type') == 'rectanglelabels'}
    hidden = {_id(each) for each in results if _says_hidden(each)}
    parent_of: dict[str, str] = {}
    for each in results:
        if each.get('type') == 'relation':
            ends = str(each.get('from_id')), str(each.get('to_id'))
            for one, other in (ends, ends[::-1]):
                if other in box_results and one not in box_results:
                    parent_of[one] = other
        elif each.get('parentID'):
            parent_of[_id(each)] = str(each['parentID'])
    points: list[PointShape] = []
    boxes: list[BoxShape] = []
    with_points = {parent for parent in parent_of.values() if parent in box_results}
    for number, each in enumerate(results):
        shape_type = each.get('type')
        at = f'{where}: result {number}'
        if shape_type in ('keypointlabels', 'rectanglelabels'):
            size = _size(each, at)
            if image.size not in (None, size):
                raise ValueError(f'{at} is of an image of {size}, others of {image.size}')
            image.size = size
            value = each.get('value')
            if not isinstance(value, Mapping):
                raise ValueError(f"{at}: 'value' is {kind(value)}; expected a dict")
            labels = value.get(shape_type)
            if not isinstance(labels, list) or not labels or not isinstance(labels[0], str):
                raise ValueError(f'{at}: {shape_type!r} is {quote(labels)}; expected a label')
            if len(labels) > 1:
                raise ValueError(f'{at} has the labels {quote(labels)}; expected one')
            x, y = (_number(value, name, at) * side / 100 for name, side in zip('xy', size))
            key = _id(each)
            if shape_type == 'keypointlabels':
                visibility = HIDDEN if key in hidden else VISIBLE
                point = Keypoint(x, y, visibility)
                points.append(PointShape(labels[0], point, parent_of.get(key)))
            else:
                w, h = (
                    _number(value, name, at) * side / 100
                    for name, side in zip(('width', 'height'), size)
                )
                rotation = _number(value, 'rotation', at) if value.get('rotation') else 0.0
                if rotation:
                    tally.repair('boxes that are turned: their extent is taken', at)
                x, y, w, h = _extent(x, y, w, h, math.radians(rotation))
                group = key if key in with_points else None
                boxes.append(BoxShape(labels[0], (x, y, w, h), group))
        elif shape_type not in NO_SHAPES:
            tally.leave_out(f'results that are no keypoints ({shape_type})', at)
    image.instances = group_shapes(points, boxes, where, tally, 'a relation or a parent')


def _says_hidden(result: Mapping[str, Any]) -> bool:
    value = result.get('value')
    choices = value.get('choices') if isinstance(value, Mapping) else None
    return isinstance(choices, list) and any(
        str(choice).lower() in HIDDEN_CHOICES for choice in choices
    )


def _id(result: Mapping[str, Any]) -> str:
    return str(result.get('id'))


def _size(result: Mapping[str, Any], at: str) -> tuple[int, int]:
    sides = result.get('original_width'), result.get('original_height')
    if not all(isinstance(side, (int, float)) and 0 < side < 2**31 for side in sides):
        raise ValueError(
            f"{at}: 'original_width' and 'original_height' are {quote(list(sides))}; expected the "
            'size of the image in pixels, of which coordinates are percents'
        )
    return int(sides[0] or 0), int(sides[1] or 0)


def _number(value: Mapping[str, Any], name: str, at: str) -> float:
    number = value.get(name)
    if isinstance(number, (int, float)) and not isinstance(number, bool) and abs(number) < 1e6:
        return float(number)
    raise ValueError(f'{at}: {name!r} is {quote(number)}; expected a number, in percent')


def _extent(
    x: float, y: float, w: float, h: float, angle: float
) -> tuple[float, float, float, float]:
    """Return the extent of a box that is turned around its first corner."""
    if not angle:
        return x, y, w, h
    cos, sin = math.cos(angle), math.sin(angle)
    xs = [x + a * w * cos - b * h * sin for a in (0, 1) for b in (0, 1)]
    ys = [y + a * w * sin + b * h * cos for a in (0, 1) for b in (0, 1)]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
