"""Check annotations in MPII's format, as MMPose publishes them: a list of instances."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from ..datasets.units import number_table
from ..functional.coco.units import keypoint_problems
from .findings import Findings
from .instances import (
    AnnotatedInstances,
    ImageRecord,
    check_keypoint_counts,
    missing_file,
    read_json,
)
from .units import add_unit_findings

LONGEST_NUMBER = 18  # digits that fit into 64 bits
FIELDS = ('image', 'center', 'scale', 'joints', 'joints_vis')


def check_mpii(
    path: str | Path, num_keypoints: int | None = None, headbox_file: str | None = None
) -> AnnotatedInstances:
    """Check an annotation file in MPII's format, and whether the head boxes belong to it.

    Args:
        path: A JSON file.
        num_keypoints: K of the metainfo; None if it is not known.
        headbox_file: A MATLAB file with ``headboxes_src`` (2, 2, N).

    Returns:
        Its instances, with the findings.
    """
    findings = Findings(path)
    instances = AnnotatedInstances(findings, read_json(path, findings))
    rows = instances.content
    if rows is None:
        return instances
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        instances.content = None
        findings.error("it is not a list of instances, as MPII's annotations are")
        return instances
    ids = np.arange(len(rows))
    findings.errors(
        f'not all of {", ".join(FIELDS)} are there',
        'entry',
        [i for i in ids if not all(field in rows[i] for field in FIELDS)],
    )
    names = [row.get('image') if isinstance(row.get('image'), str) else '' for row in rows]
    stems = [name.split('.')[0] for name in names]
    has_number = np.array([s.isdecimal() and len(s) <= LONGEST_NUMBER for s in stems], bool)
    findings.errors(
        'the name of the image is not a number, which MMPose takes for its id',
        'entry',
        ids[~has_number],
    )
    has_joints = _check_joints(rows, ids, num_keypoints, findings)
    regions, has_region = number_table([_center_and_scale(row) for row in rows], 3)
    has_region &= np.isfinite(regions).all(1)
    findings.errors('center and scale are not three finite numbers', 'entry', ids[~has_region])
    is_empty = has_region & (regions[:, 2] <= 0)
    findings.errors('the scale is not above 0', 'entry', ids[is_empty])
    instances.usable = np.flatnonzero(has_joints & has_region & ~is_empty & has_number)
    if not len(instances.usable):
        findings.error('no instance in it can be used')
    used = dict.fromkeys(names[i] for i in instances.usable)
    instances.images = [ImageRecord(name, name, None) for name in used]
    instances.image_ids = list(dict.fromkeys(int(stems[i]) for i in np.flatnonzero(has_number)))
    if headbox_file:
        findings += _check_heads(headbox_file, len(rows))
    return instances


def _center_and_scale(row: Mapping[str, Any]) -> list[Any] | None:
    center = row.get('center')
    return [*center, row.get('scale')] if isinstance(center, (list, tuple)) else None


def _check_joints(
    rows: list[Mapping[str, Any]], ids: np.ndarray, num_keypoints: int | None, findings: Findings
) -> np.ndarray:
    """Return which entries (N,) have K joints, and as many visibilities."""
    joints = [row.get('joints') for row in rows]
    counts = np.array([len(j) if isinstance(j, list) else 0 for j in joints], int)
    k = check_keypoint_counts(findings, ids, counts, num_keypoints)
    flat = [
        [v for point in j for v in (point if isinstance(point, (list, tuple)) else [None])]
        if isinstance(j, list)
        else None
        for j in joints
    ]
    table, are_numbers = number_table(flat, 2 * k)
    labels, has_labels = number_table([row.get('joints_vis') for row in rows], k)
    has_labels &= np.isfinite(labels).all(1)
    findings.errors(
        'joints_vis has not one number for each joint', 'entry', ids[(counts == k) & ~has_labels]
    )
    # Nothing reads the coordinates of unlabelled joints: they may be anything.
    is_labelled = np.repeat(labels > 0, 2, axis=1)
    is_finite = (np.isfinite(table) | ~is_labelled).all(1)
    findings.errors(
        'joints hold something other than pairs of numbers, finite where they are labelled',
        'entry',
        ids[(counts == k) & ~(are_numbers & is_finite)],
    )
    points = np.concatenate([table.reshape(len(rows), k, 2), labels[..., None]], axis=2)
    add_unit_findings(findings, keypoint_problems(points), 'entry', ids.tolist())
    return are_numbers & is_finite & has_labels


def _check_heads(headbox_file: str, num_instances: int) -> Findings:
    findings = Findings(headbox_file)
    try:
        content = loadmat(headbox_file)
    except FileNotFoundError:
        findings.error(missing_file(headbox_file))
    except Exception as error:
        # For a truncated file or one of another format, scipy raises whatever its parser trips
        # over: ValueError, MatReadError, IndexError, zlib.error; NotImplementedError for HDF5.
        reason = f'{type(error).__name__}: {error}'
        findings.error(f'it cannot be read as a MATLAB file before version 7.3 ({reason})')
    else:
        if 'headboxes_src' not in content:
            names = [name for name in content if not name.startswith('__')]
            findings.error(f'it has no headboxes_src, but {", ".join(names) or "nothing"}')
        elif (shape := np.shape(content['headboxes_src']))[:2] != (2, 2) or len(shape) != 3:
            findings.error(f'headboxes_src has shape {shape}; expected (2, 2, instances)')
        elif shape[2] != num_instances:
            findings.error(f'{shape[2]} heads, but the annotations have {num_instances} instances')
    return findings
