"""Group single points and boxes, as drawing tools have them, into instances."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from .labels import Instance, Keypoint, Tally


class PointShape(NamedTuple):
    """A labelled point, and the group that it is of, if any."""

    label: str
    point: Keypoint
    group: str | None


class BoxShape(NamedTuple):
    """A labelled box (x, y, width, height), and the group that it is of, if any."""

    label: str
    bbox: tuple[float, float, float, float]
    group: str | None


def group_shapes(
    points: Sequence[PointShape],
    boxes: Sequence[BoxShape],
    where: str,
    tally: Tally,
    how: str = 'a group id',
) -> list[Instance]:
    """Group the shapes of an image into instances, and count them.

    Shapes of a group are one instance. Points of no group belong to the only box of no group
    around them, or to the only box there is; where there are no boxes, they are one instance.
    A box without points is an instance of which no keypoint is labelled.

    Args:
        points: The points.
        boxes: The boxes.
        where: The image, for errors.
        tally: Where instances and points are counted.
        how: What the tool joins the shapes of an instance with, for errors.

    Raises:
        ValueError: An instance has two points of one label, or two boxes.
    """
    tally.find(points=len(points))
    grouped: dict[str | None, list[PointShape]] = {}
    for point in points:
        grouped.setdefault(point.group, []).append(point)
    members: list[tuple[BoxShape | None, list[PointShape]]] = []
    single: list[tuple[BoxShape, list[PointShape]]] = []
    boxes_of = Counter(box.group for box in boxes)
    for box in boxes:
        if box.group is None:
            single.append((box, []))
        elif boxes_of[box.group] > 1:
            raise ValueError(
                f'{where}: group {box.group} has {boxes_of[box.group]} boxes; expected one for '
                f'each instance, joined by {how}'
            )
        else:
            members.append((box, grouped.pop(box.group, [])))
    loose = grouped.pop(None, [])
    members += [(None, group) for group in grouped.values()]
    if loose and not boxes and not members:
        members.append((None, loose))
    else:
        for point in loose:
            around = [own for box, own in single if _contains(box, point.point)]
            if not around and not members and len(single) == 1:
                around = [single[0][1]]
            if len(around) == 1:
                around[0].append(point)
            else:
                reason = 'points of no group, in no box or in several'
                tally.leave_out(reason, f'{point.label!r} in {where}', points=1)
    members += single
    tally.find(instances=len(members))
    return [_instance(box, group, where, how) for box, group in members]


def _instance(box: BoxShape | None, group: list[PointShape], where: str, how: str) -> Instance:
    labels = Counter(point.label for point in group)
    for label, count in labels.items():
        if count > 1:
            raise ValueError(
                f'{where}: an instance has {count} points {label!r}; expected one. Give the '
                f'shapes of each instance {how} of its own'
            )
    return Instance(
        {point.label: point.point for point in group},
        box.bbox if box else None,
        box.label if box else '',
    )


def _contains(box: BoxShape, point: Keypoint) -> bool:
    x, y, width, height = box.bbox
    return x <= point.x <= x + width and y <= point.y <= y + height


def box_of_corners(x1: float, y1: float, x2: float, y2: float) -> tuple[float, ...]:
    """Return x, y, width and height of a box that was drawn from any corner."""
    return min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)
