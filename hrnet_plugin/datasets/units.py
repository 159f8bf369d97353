"""Whether annotations in COCO's format are in pixels of their images.

Nothing here raises: what has another form than COCO's is left to other checks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..functional.coco.units import UnitProblem, box_problems, keypoint_problems


def unit_problems(content: Any) -> list[tuple[UnitProblem, list[Any]]]:
    """Find boxes and keypoints that are not in pixels of their images.

    Args:
        content: Annotations in COCO's format, as JSON has them.

    Returns:
        Each problem, and the ids of the annotations that have it.
    """
    listed = content.get('annotations') if isinstance(content, Mapping) else None
    rows = _dicts(listed)
    if not rows:
        return []
    sizes = sizes_of([row.get('image_id') for row in rows], image_sizes(content.get('images')))
    boxes, _ = number_table([row.get('bbox') for row in rows], 4)
    keypoints = [row.get('keypoints') for row in rows]
    length = max(len(k) if isinstance(k, list) else 0 for k in keypoints) // 3 * 3
    points, _ = number_table(keypoints, length)
    points = points.reshape(len(rows), length // 3, 3)
    problems = [*box_problems(boxes, sizes), *keypoint_problems(points, sizes)]
    ids = [row.get('id') for row in rows]
    return [(problem, [ids[row] for row in problem.rows]) for problem in problems]


def image_sizes(images: Any) -> dict[Any, tuple[float, float]]:
    """Return width and height by image id, of those that COCO's ``images`` tell."""
    rows = _dicts(images)
    sizes, valid = number_table([[row.get('width'), row.get('height')] for row in rows], 2)
    valid &= (sizes > 0).all(axis=1)
    return {
        id_key(row.get('id')): (float(size[0]), float(size[1]))
        for row, size, is_valid in zip(rows, sizes, valid)
        if is_valid
    }


def sizes_of(image_ids: Sequence[Any], sizes: Mapping[Any, tuple[float, float]]) -> np.ndarray:
    """Return the sizes (N, 2) of the images with these ids, NaN where they are not known."""
    unknown = (np.nan, np.nan)
    table = [sizes.get(id_key(i), unknown) for i in image_ids]
    return np.array(table, np.float64).reshape(len(table), 2)


def number_table(rows: Sequence[Any], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Convert rows of numbers to an array.

    Args:
        rows: N values, expected to be lists of ``length`` numbers.
        length: How many numbers a valid row has.

    Returns:
        The table (N, length), NaN for null and in invalid rows; and which rows are valid (N,).
    """
    valid = np.array([isinstance(r, (list, tuple)) and len(r) == length for r in rows], bool)
    table = np.full((len(rows), length), np.nan)
    some = [r for r, is_valid in zip(rows, valid) if is_valid]
    try:
        values = np.array(some)
        if values.dtype.kind in 'biuf' and values.shape == (len(some), length):
            table[valid] = values
            return table, valid
    except ValueError:  # they are not of one shape
        pass
    for i in np.flatnonzero(valid):  # one of them is not a number; which?
        try:
            if all(v is None or isinstance(v, (int, float)) for v in rows[i]):
                table[i] = np.array(rows[i], float)
            else:
                valid[i] = False
        except OverflowError:
            valid[i] = False
    return table, valid


def id_key(value: Any) -> Any:
    """Return a key to look an id up by, whatever JSON has in its place."""
    return value if isinstance(value, (int, float, str)) else str(value)


def _dicts(listed: Any) -> list[Mapping[str, Any]]:
    entries = listed if isinstance(listed, (list, tuple)) else ()
    return [entry for entry in entries if isinstance(entry, Mapping)]
