"""Check a detector's boxes (``bbox_file``), and whether they belong to the annotations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..datasets.units import id_key, image_sizes, number_table, sizes_of
from ..functional.coco.units import box_problems
from .findings import Findings
from .instances import AnnotatedInstances, read_json
from .units import add_unit_findings

PERSON = 1  # the only category of which MMPose takes boxes


class CheckedDetections(NamedTuple):
    """The detections of a file, and what is wrong with it.

    Attributes:
        findings: What is wrong with the file.
        content: The detections as JSON has them; none if the file cannot be read.
    """

    findings: Findings
    content: list[Any]


def check_boxes(path: str | Path, instances: AnnotatedInstances) -> CheckedDetections:
    """Check detections against the annotations that they are for.

    Args:
        path: A JSON file in the format of COCO's results.
        instances: The annotations, as a check returned them.

    Returns:
        The detections, with the findings.
    """
    findings = Findings(path)
    content = read_json(path, findings)
    if content is None:
        return CheckedDetections(findings, [])
    if not isinstance(content, list) or not all(isinstance(box, Mapping) for box in content):
        findings.error("it is not a list of detections, as COCO's results are")
        return CheckedDetections(findings, [])
    rows = np.arange(len(content))
    image_ids = [id_key(box.get('image_id')) for box in content]
    _check_images(image_ids, instances, findings)

    is_person = np.array([box.get('category_id') == PERSON for box in content], bool)
    if not is_person.any():
        ids = list(dict.fromkeys(id_key(box.get('category_id')) for box in content))
        there = ', '.join(str(i) for i in ids[:5])
        findings.error(
            f'no detection is of category {PERSON}, the only one that MMPose takes (there are '
            f'{there or "no detections"}); write category_id {PERSON} for those to be used'
        )
    else:
        _check_category_name(instances, findings)
        findings.warnings(f'not of category {PERSON}: left out', 'detection', rows[~is_person])
    boxes, is_valid = number_table([_without_score(box.get('bbox')) for box in content], 4)
    is_valid &= np.isfinite(boxes).all(1)
    findings.errors(
        'the bbox is not four finite numbers x, y, width and height',
        'detection',
        rows[is_person & ~is_valid],
    )
    findings.warnings(
        'the bbox has no width or no height',
        'detection',
        rows[is_person & is_valid & (boxes[:, 2:] <= 0).any(1)],
    )
    problems = box_problems(
        np.where(is_person[:, None], boxes, np.nan),
        sizes_of(image_ids, image_sizes(_listed(instances, 'images'))),
    )
    add_unit_findings(findings, problems, 'detection', rows.tolist())
    scores, has_score = number_table([[box.get('score')] for box in content], 1)
    has_score &= np.isfinite(scores[:, 0])
    findings.errors(
        'no score, or one that is no finite number', 'detection', rows[is_person & ~has_score]
    )
    findings.warnings(
        'the score is not between 0 and 1, as those of detectors are',
        'detection',
        rows[is_person & has_score & ((scores[:, 0] < 0) | (scores[:, 0] > 1))],
    )
    return CheckedDetections(findings, content)


def _listed(instances: AnnotatedInstances, part: str) -> Any:
    """Return a part of annotations in COCO's format; None for those of another."""
    content = instances.content
    return content.get(part) if isinstance(content, Mapping) else None


def _check_images(image_ids: list[Any], instances: AnnotatedInstances, findings: Findings) -> None:
    known, detected = set(instances.image_ids), set(image_ids)
    if known and not known & detected:
        here, there = (', '.join(map(repr, ids[:2])) for ids in (image_ids, instances.image_ids))
        findings.error(
            'none of its image ids is one of the annotations: it is for other images '
            f'({here} here, {there} there)'
        )
        return
    unlisted = [i for i in dict.fromkeys(image_ids) if i not in known]
    findings.errors(
        'the annotations do not list this image: MMPose fails with detections of it',
        'image',
        unlisted if known else [],
    )
    missed = [image.id for image in instances.images if image.id not in detected]
    findings.warnings(
        'annotated instances, but no detection: they count as missed', 'image', missed
    )


def _check_category_name(instances: AnnotatedInstances, findings: Findings) -> None:
    """MMPose takes category 1, whatever the annotations call it."""
    listed = _listed(instances, 'categories')
    rows = [c for c in listed if isinstance(c, Mapping)] if isinstance(listed, list) else []
    names = {id_key(c.get('id')): str(c.get('name')) for c in rows}
    persons = [i for i, name in names.items() if name.lower() == 'person']
    if persons and PERSON not in persons and PERSON in names:
        findings.error(
            f'MMPose takes the detections of category {PERSON}, which the annotations call '
            f"{names[PERSON]!r}; their 'person' is {persons[0]}: write category_id {PERSON} for "
            'the detections of people, and for no others'
        )


def _without_score(bbox: Any) -> Any:
    """Return a box without a score that may follow it."""
    return bbox[:4] if isinstance(bbox, list) else None
