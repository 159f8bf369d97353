"""CVAT for images 1.1: points, skeletons and boxes in XML.

Format: https://docs.cvat.ai/docs/manual/advanced/xml_format/
"""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

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
    split_of_name,
)
from .shapes import BoxShape, PointShape, box_of_corners, group_shapes

OTHER_SHAPES = ('polygon', 'polyline', 'ellipse', 'cuboid', 'mask', 'tag')
NO_ENTITIES = re.compile(rb'<!(DOCTYPE|ENTITY)', re.IGNORECASE)  # which can grow without bounds


def read_cvat(source: Source) -> Labels:
    """Read files of CVAT for images 1.1.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged or of another format of CVAT.
    """
    tally = Tally()
    skeletons: dict[str, Skeleton] = {}
    images: list[Image] = []
    order: list[str] = []
    for file in source.files:
        root = parse_xml(file)
        if root.tag != 'annotations' or root.find('track') is not None:
            found = 'tracks, of CVAT for video' if root.tag == 'annotations' else f'<{root.tag}>'
            raise ValueError(
                f'{file} holds {found}; expected <annotations> with <image>: export as "CVAT for '
                'images 1.1"'
            )
        declared = _declared_skeletons(root)
        order += _declared_points(root)
        is_video = (
            root.find('.//meta//mode') is not None
            and root.findtext('.//meta//mode') == 'interpolation'
        )
        for element in root.iter('image'):
            image = _image(element, file, is_video)
            images.append(image)
            tally.find(images=1)
            _read_shapes(element, image, source, tally, skeletons, declared)
    loose = [
        name
        for name in ordered_names(order, images)
        if not any(name in skeleton.names for skeleton in skeletons.values())
    ]
    used = {name for image in images for each in image.instances for name in each.points}
    if used & {*loose}:
        skeletons[''] = Skeleton(tuple(name for name in loose if name in used or name in order))
    if not skeletons:
        raise ValueError(
            f'{source.files[0]} has no points and no skeletons in its {len(images)} images; '
            'expected keypoints'
        )
    return Labels(skeletons, images, tally)


def parse_xml(file: Path) -> ElementTree.Element:
    """Read an XML file that declares no entities.

    Raises:
        ValueError: It is not such a file; the message has the position.
    """
    data = file.read_bytes()
    if NO_ENTITIES.search(data):
        raise ValueError(
            f'{file} declares entities (<!DOCTYPE …>); expected XML as CVAT exports it'
        )
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f'{file} is not valid XML: {error}; was it cut short?') from None


def _image(element: ElementTree.Element, file: Path, is_video: bool) -> Image:
    name = element.get('name')
    where = f'{file}: image {element.get("id")}'
    if not name:
        raise ValueError(f'{where} has no name; expected the path of an image file')
    size = _numbers(element, ('width', 'height'), f'{where} ({name!r})')
    width, height = (int(side) for side in size)
    if width < 1 or height < 1:
        raise ValueError(f'{where} ({name!r}) is {width}x{height}; expected sides of 1 or more')
    split = split_of_name(element.get('subset') or '')
    group = (element.get('task_id') or file.stem) if is_video else None
    return Image(name, file, size=(width, height), split=split, group=group)


def _read_shapes(
    element: ElementTree.Element,
    image: Image,
    source: Source,
    tally: Tally,
    skeletons: dict[str, Skeleton],
    declared: dict[str, Skeleton],
) -> None:
    where = f'{image.annotated_in}: image {image.name!r}'
    points: list[PointShape] = []
    boxes: list[BoxShape] = []
    own: list[tuple[Instance, str | None]] = []
    for shape in element:
        label, group = shape.get('label') or '', _group(shape)
        if shape.tag == 'skeleton':
            own.append((_skeleton(shape, label, where, tally), group))
            known = skeletons.get(label, declared.get(label, Skeleton(())))
            names = dict.fromkeys([*known.names, *(p.get('label') or '' for p in shape)])
            skeletons[label] = known._replace(names=tuple(names))
        elif shape.tag == 'points':
            parsed = _points(shape, where)
            if len(parsed) == 1:
                if _is_labelled(shape):
                    points.append(PointShape(label, parsed[0], group))
            else:  # one shape has all keypoints of an instance
                names_ = source.numbered_names(len(parsed))
                known = skeletons.setdefault(label, Skeleton(names_, is_named=False))
                if len(known.names) != len(parsed):
                    raise ValueError(
                        f'{where}: points of {label!r} are {len(parsed)}, but {len(known.names)} '
                        'elsewhere; expected as many in each shape'
                    )
                tally.find(instances=1, points=len(parsed))
                own.append((Instance(dict(zip(names_, parsed)), category=label), group))
        elif shape.tag == 'box':
            corners = _numbers(shape, ('xtl', 'ytl', 'xbr', 'ybr'), f'{where}, box {label!r}')
            x, y, w, h = box_of_corners(*corners)
            boxes.append(BoxShape(label, (x, y, w, h), group))
        elif shape.tag in OTHER_SHAPES:
            tally.leave_out(f'shapes that are no keypoints ({shape.tag})', where)
    for instance, group in own:  # with the box of their group
        if group is not None and not any(p.group == group for p in points):
            for box in [box for box in boxes if box.group == group][:1]:
                instance.bbox = box.bbox
                boxes.remove(box)
    image.instances = [instance for instance, _ in own]
    image.instances += group_shapes(points, boxes, where, tally)


def _skeleton(shape: ElementTree.Element, label: str, where: str, tally: Tally) -> Instance:
    points: dict[str, Keypoint] = {}
    for element in shape.iter('points'):
        name = element.get('label') or ''
        if not name or name in points:
            raise ValueError(
                f'{where}: skeleton {label!r} has {"two points" if name else "a point without"} '
                f'label {name!r}; expected one for each keypoint'
            )
        if not _is_labelled(element):
            continue
        parsed = _points(element, where)
        if len(parsed) != 1:
            raise ValueError(f'{where}: {name!r} has {len(parsed)} points; expected one')
        tally.find(points=1)
        points[name] = parsed[0]
    tally.find(instances=1)
    return Instance(points, category=label)


def _is_labelled(shape: ElementTree.Element) -> bool:
    return shape.get('outside') != '1'


def _points(shape: ElementTree.Element, where: str) -> list[Keypoint]:
    text = shape.get('points') or ''
    visibility = HIDDEN if shape.get('occluded') == '1' else VISIBLE
    try:
        pairs = [[float(v) for v in pair.split(',')] for pair in text.split(';')]
        if not all(len(pair) == 2 and all(abs(v) < 1e9 for v in pair) for pair in pairs):
            raise ValueError
    except ValueError:
        raise ValueError(
            f'{where}: points {shape.get("label")!r} are {text[:60]!r}; expected "x,y;x,y;…"'
        ) from None
    return [Keypoint(x, y, visibility) for x, y in pairs]


def _numbers(element: ElementTree.Element, names: tuple[str, ...], where: str) -> list[float]:
    values = []
    for name in names:
        text = element.get(name)
        try:
            value = float(text or '')
            if not abs(value) < 1e9:
                raise ValueError
        except ValueError:
            raise ValueError(f'{where}: {name} is {text!r}; expected a number') from None
        values.append(value)
    return values


def _group(shape: ElementTree.Element) -> str | None:
    group = shape.get('group_id')
    return None if group in (None, '', '0') else group


def _declared_points(root: ElementTree.Element) -> Iterator[str]:
    """Yield the labels of single points, in the order of the task."""
    for label in root.iterfind('.//meta//label'):
        if label.findtext('type') == 'points' and not label.findtext('parent'):
            yield label.findtext('name') or ''


def _declared_skeletons(root: ElementTree.Element) -> dict[str, Skeleton]:
    """Return the skeletons of the task, whose points and edges are an SVG."""
    found: dict[str, Skeleton] = {}
    labels = list(root.iterfind('.//meta//label'))
    for label in labels:
        name = label.findtext('name') or ''
        if label.findtext('type') != 'skeleton':
            continue
        children = [
            each.findtext('name') or '' for each in labels if each.findtext('parent') == name
        ]
        links: list[tuple[str, str]] = []
        try:
            svg = ElementTree.fromstring(f'<svg>{label.findtext("svg") or ""}</svg>')
        except ElementTree.ParseError:  # only drawn
            svg = ElementTree.Element('svg')
        number_of = {
            each.get('data-node-id'): each.get('data-label-name') for each in svg.iter('circle')
        }
        for line in svg.iter('line'):
            a, b = (number_of.get(line.get(f'data-node-{end}')) for end in ('from', 'to'))
            if a in children and b in children and a is not None and b is not None:
                links.append((a, b))
        found[name] = Skeleton(tuple(dict.fromkeys(children)), tuple(links))
    return found
