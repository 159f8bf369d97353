"""Boxes of a detector (``bbox_file``), and whether they are of these annotations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..functional.coco.units import box_problems
from .findings import Findings
from .instances import People, numbers, read_json
from .units import add_unit_findings, image_sizes, sizes_of

PERSON = 1  # the only category of which MMPose takes boxes


def check_boxes(path: str | Path, people: People) -> tuple[Findings, list[Any]]:
    """Check detections against the annotations that they are for.

    Returns:
        What is wrong, and the detections, none if they cannot be read.
    """
    findings = Findings(path)
    content = read_json(path, findings)
    if content is None:
        return findings, []
    if not isinstance(content, list) or not all(isinstance(box, Mapping) for box in content):
        findings.error("it is not a list of detections, as COCO's results are")
        return findings, []
    rows = np.arange(len(content))
    image_ids = [_plain(box.get('image_id')) for box in content]
    _check_images(image_ids, people, findings)

    person = np.array([box.get('category_id') == PERSON for box in content], bool)
    if not person.any():
        there = ', '.join(str(i) for i in list(dict.fromkeys(map(_category, content)))[:5])
        findings.error(
            f'no detection is of category {PERSON}, the only one that MMPose takes (there are '
            f'{there or "no detections"}); write category_id {PERSON} for those to be used'
        )
    else:
        _check_category_name(people, findings)
        findings.warnings(f'not of category {PERSON}: left out', 'detection', rows[~person])
    boxes, good = numbers([_corners(box.get('bbox')) for box in content], 4)
    good &= np.isfinite(boxes).all(1)
    findings.errors(
        'the bbox is not four finite numbers x, y, width and height',
        'detection',
        rows[person & ~good],
    )
    findings.warnings(
        'the bbox has no width or no height',
        'detection',
        rows[person & good & (boxes[:, 2:] <= 0).any(1)],
    )
    images = people.content.get('images') if isinstance(people.content, Mapping) else None
    problems = box_problems(
        np.where(person[:, None], boxes, np.nan), sizes_of(image_ids, image_sizes(images))
    )
    add_unit_findings(findings, problems, 'detection', rows.tolist())
    scores, given = numbers([[box.get('score')] for box in content], 1)
    given &= np.isfinite(scores[:, 0])
    findings.errors(
        'no score, or one that is no finite number', 'detection', rows[person & ~given]
    )
    findings.warnings(
        'the score is not between 0 and 1, as those of detectors are',
        'detection',
        rows[person & given & ((scores[:, 0] < 0) | (scores[:, 0] > 1))],
    )
    return findings, content


def _check_images(image_ids: list[Any], people: People, findings: Findings) -> None:
    known, detected = set(people.image_ids), set(image_ids)
    if known and not known & detected:
        findings.error(
            'none of its image ids is one of the annotations: it is for other images '
            f'({_some(image_ids)} here, {_some(people.image_ids)} there)'
        )
        return
    strangers = [i for i in dict.fromkeys(image_ids) if i not in known]
    findings.errors(
        'the annotations do not list this image: MMPose fails with detections of it',
        'image',
        strangers if known else [],
    )
    missed = [image.id for image in people.images if image.id not in detected]
    findings.warnings('annotated people, but no detection: they count as missed', 'image', missed)


def _check_category_name(people: People, findings: Findings) -> None:
    """MMPose takes category 1, whatever the annotations call it."""
    listed = people.content.get('categories') if isinstance(people.content, Mapping) else None
    rows = [c for c in listed if isinstance(c, Mapping)] if isinstance(listed, list) else []
    names = {_plain(c.get('id')): str(c.get('name')) for c in rows}
    persons = [i for i, name in names.items() if name.lower() == 'person']
    if persons and PERSON not in persons and PERSON in names:
        findings.error(
            f'MMPose takes the detections of category {PERSON}, which the annotations call '
            f"{names[PERSON]!r}; their 'person' is {persons[0]}: write category_id {PERSON} for "
            'the detections of people, and for no others'
        )


def _category(box: Mapping[str, Any]) -> Any:
    return _plain(box.get('category_id'))


def _corners(bbox: Any) -> Any:
    """The box, without a score that may follow it."""
    return bbox[:4] if isinstance(bbox, list) else None


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else str(value)


def _some(ids: list[Any]) -> str:
    return ', '.join(repr(i) for i in ids[:2])
