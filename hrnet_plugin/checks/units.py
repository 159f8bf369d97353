"""Whether annotations are in pixels of their images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..functional.coco.units import UnitProblem, box_problems, keypoint_problems
from .findings import Findings
from .instances import numbers


def add_unit_findings(
    findings: Findings,
    problems: Sequence[UnitProblem],
    what: str,
    ids: Sequence[Any],
    remarks: Mapping[str, str] | None = None,
) -> None:
    """Add problems of coordinates to findings.

    Args:
        what: what the rows of the problems are.
        ids: (N,), of all rows.
        remarks: by message, what to add to it.
    """
    for problem in problems:
        add = findings.errors if problem.is_error else findings.warnings
        message = problem.message + (remarks or {}).get(problem.message, '')
        add(message, what, [ids[row] for row in problem.rows])


def image_sizes(images: Any) -> dict[Any, tuple[float, float]]:
    """Width and height by image id, of those that COCO's ``images`` tell."""
    rows = [row for row in images if isinstance(row, Mapping)] if _is_list(images) else []
    sizes, good = numbers([[row.get('width'), row.get('height')] for row in rows], 2)
    good &= (sizes > 0).all(axis=1)
    return {
        _key(row.get('id')): (float(size[0]), float(size[1]))
        for row, size, sound in zip(rows, sizes, good)
        if sound
    }


def sizes_of(image_ids: Sequence[Any], sizes: Mapping[Any, tuple[float, float]]) -> np.ndarray:
    """Sizes (N, 2) of the images with these ids, NaN where they are not known."""
    unknown = (np.nan, np.nan)
    table = [sizes.get(_key(i), unknown) for i in image_ids]
    return np.array(table, np.float64).reshape(len(table), 2)


def check_units(where: object, content: Any) -> Findings:
    """Check only whether annotations in COCO format are in pixels.

    Args:
        where: what the findings are of.
        content: as JSON has it; what has another form is not looked at.
    """
    findings = Findings(where)
    listed = content.get('annotations') if isinstance(content, Mapping) else None
    rows = [r for r in listed or () if isinstance(r, Mapping)] if _is_list(listed) else []
    if not rows:
        return findings
    sizes = sizes_of([row.get('image_id') for row in rows], image_sizes(content.get('images')))
    ids = [row.get('id') for row in rows]
    boxes, _ = numbers([row.get('bbox') for row in rows], 4)
    add_unit_findings(findings, box_problems(boxes, sizes), 'annotation', ids)
    keypoints = [row.get('keypoints') for row in rows]
    lengths = [len(k) if isinstance(k, list) else 0 for k in keypoints]
    length = max(lengths) // 3 * 3
    points, _ = numbers(keypoints, length)
    points = points.reshape(len(rows), length // 3, 3)
    add_unit_findings(findings, keypoint_problems(points, sizes), 'annotation', ids)
    return findings


def sample_problems(samples: Sequence[Mapping[str, Any]]) -> list[UnitProblem]:
    """What is wrong with the coordinates of samples as MMPose's datasets have them.

    Args:
        samples: with ``bbox`` (1, 4), corners, and ``keypoints`` (1, K, 2) and
            ``keypoints_visible`` (1, K); those with another shape are not looked at.
    """
    keypoints = [np.asarray(sample.get('keypoints', ()), np.float64) for sample in samples]
    count = max((k.shape[1] for k in keypoints if k.ndim == 3), default=0)
    sizes = np.full((len(samples), 2), np.nan)
    boxes = np.full((len(samples), 4), np.nan)
    points = np.full((len(samples), count, 3), np.nan)
    for row, (sample, xy) in enumerate(zip(samples, keypoints)):
        if np.size(box := sample.get('bbox', ())) == 4:
            boxes[row] = np.ravel(box)
        if len(shape := sample.get('img_shape', ())) >= 2:
            sizes[row] = shape[1], shape[0]
        if xy.shape == (1, count, 2):
            visible = np.ravel(sample.get('keypoints_visible', 1.0))
            points[row, :, :2] = xy[0]
            points[row, :, 2] = visible if visible.size == count else 1
    boxes[:, 2:] -= boxes[:, :2]
    return [*box_problems(boxes, sizes), *keypoint_problems(points, sizes)]


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _key(value: Any) -> Any:
    """Something to look up, whatever JSON put in the place of an id."""
    return value if isinstance(value, (int, float, str)) else str(value)
