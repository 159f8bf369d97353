"""LabelMe: one JSON file for each image, with points and rectangles.

A shape's ``group_id`` joins the shapes of an instance. LabelMe has no visibility: a flag
``occluded`` or ``hidden`` of a point is read as one, and written by our export. ``labels.txt``,
LabelMe's own list of labels, gives the order of the keypoints.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...functional.coco.schema import kind, quote
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
    ordered_names,
)
from .shapes import BoxShape, PointShape, box_of_corners, group_shapes

HIDDEN_FLAGS = ('occluded', 'hidden')
LABELS_FILE = 'labels.txt'
NO_KEYPOINTS = ('__ignore__', '_background_')  # of labels.txt


def read_labelme(source: Source) -> Labels:
    """Read LabelMe's files.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is not LabelMe's, or none has points.
    """
    tally = Tally()
    images = [_read_file(file, source, tally) for file in source.files]
    listed: list[str] = []
    for file in dict.fromkeys(f.parent / LABELS_FILE for f in (*source.files, source.path / 'x')):
        if file.is_file():
            lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
            listed += [line.strip() for line in lines if line.strip()]
    used = {name for image in images for each in image.instances for name in each.points}
    boxes = {each.category for image in images for each in image.instances}
    names = [
        name
        for name in ordered_names(listed, images)
        if name in used or (name not in boxes and name not in NO_KEYPOINTS)
    ]
    if not used:
        raise ValueError(
            f'{source.files[0]} and {len(images) - 1} further files have no points; expected '
            'shapes of shape_type "point"'
        )
    return Labels({'': Skeleton(tuple(names))}, images, tally)


def _read_file(file: Path, source: Source, tally: Tally) -> Image:
    content = read_json(file)
    if not isinstance(content, Mapping) or not isinstance(content.get('shapes'), list):
        raise ValueError(
            f"{file} has no list of 'shapes'; expected a file of LabelMe, a dict of 'shapes', "
            "'imagePath', 'imageWidth' and 'imageHeight'"
        )
    name = content.get('imagePath')
    if not isinstance(name, str) or not name:
        raise ValueError(f"{file}: 'imagePath' is {kind(name)}; expected the image's path")
    tally.find(images=1)
    image = Image(name, file, size=_size(content), split=source.split_of(file))
    _read_image_data(content, image, source, tally)
    points: list[PointShape] = []
    boxes: list[BoxShape] = []
    for number, shape in enumerate(content['shapes']):
        where = f'{file}: shape {number}'
        if not isinstance(shape, Mapping):
            raise ValueError(f'{where} is {kind(shape)}; expected a dict')
        label, group = shape.get('label'), shape.get('group_id')
        if not isinstance(label, str) or not label:
            raise ValueError(f"{where}: 'label' is {kind(label)}; expected text")
        shape_type = shape.get('shape_type', 'polygon')
        group_id = None if group is None else str(group)
        if shape_type == 'point':
            ((x, y),) = _corners(shape, 1, where)
            points.append(PointShape(label, Keypoint(x, y, _visibility(shape)), group_id))
        elif shape_type == 'rectangle':
            (x1, y1), (x2, y2) = _corners(shape, 2, where)
            x, y, w, h = box_of_corners(x1, y1, x2, y2)
            boxes.append(BoxShape(label, (x, y, w, h), group_id))
        else:
            tally.leave_out(f'shapes that are no keypoints ({shape_type})', where)
    image.instances = group_shapes(points, boxes, str(file), tally)
    return image


def _size(content: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = content.get('imageWidth'), content.get('imageHeight')
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return width, height
    return None


def _visibility(shape: Mapping[str, Any]) -> int:
    flags = shape.get('flags')
    is_hidden = isinstance(flags, Mapping) and any(flags.get(name) for name in HIDDEN_FLAGS)
    return HIDDEN if is_hidden else VISIBLE


def _corners(shape: Mapping[str, Any], count: int, where: str) -> list[tuple[float, float]]:
    given = shape.get('points')
    good = isinstance(given, list) and len(given) == count
    corners = []
    for point in given if good and isinstance(given, list) else ():
        if not (
            isinstance(point, list)
            and len(point) == 2
            and all(isinstance(v, (int, float)) and abs(v) < 1e9 for v in point)
        ):
            good = False
            break
        corners.append((float(point[0]), float(point[1])))
    if not good:
        raise ValueError(
            f'{where} ({shape.get("label")!r}): its points are {quote(given)}; expected {count} '
            'of [x, y]'
        )
    return corners


def _read_image_data(
    content: Mapping[str, Any], image: Image, source: Source, tally: Tally
) -> None:
    """Take the image that a file contains, if it is not beside it."""
    data = content.get('imageData')
    if not isinstance(data, str) or not data:
        return
    name = image.name.replace('\\', '/')
    folders = [image.annotated_in.parent, *([source.images] if source.images else [])]
    if any((folder / each).is_file() for folder in folders for each in (name, Path(name).name)):
        return
    try:
        decoded = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(
            f"{image.annotated_in}: 'imageData' is damaged ({error}); expected an image in base64"
        ) from None
    tally.repair('images that are only in the annotation files: written', image.annotated_in.name)
    image.name = f'{image.annotated_in.stem}{Path(name).suffix or ".png"}'
    image.read = lambda: decoded


def write_labelme(
    file: Path, image_path: str, size: tuple[int, int], instances: Sequence[Instance]
) -> None:
    """Write the file of an image.

    Args:
        file: The JSON file.
        image_path: The image, relative to the file.
        size: Its width and height.
        instances: Its instances.
    """
    shapes = []

    def add(
        label: str, shape_type: str, points: list[list[float]], group: int, hidden: bool = False
    ) -> None:
        flags = {HIDDEN_FLAGS[0]: True} if hidden else {}
        shapes.append(
            dict(
                label=label,
                points=points,
                group_id=group,
                description='',
                shape_type=shape_type,
                flags=flags,
                mask=None,
            )
        )

    for number, instance in enumerate(instances):
        if instance.bbox is not None:
            x, y, w, h = instance.bbox
            add(instance.category, 'rectangle', [[x, y], [x + w, y + h]], number)
        for name, point in instance.points.items():
            add(name, 'point', [[point.x, point.y]], number, point.visibility == HIDDEN)
    content: dict[str, Any] = dict(
        version='5.5.0',
        flags={},
        shapes=shapes,
        imagePath=image_path,
        imageData=None,
        imageHeight=size[1],
        imageWidth=size[0],
    )
    file.write_text(json.dumps(content, indent=1), encoding='utf-8')
