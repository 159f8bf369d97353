"""Annotations in MPII's format, as MMPose publishes them: a list of people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from ..functional.coco.units import keypoint_problems
from .findings import Findings
from .instances import Image, People, check_joints, missing, numbers, read_json
from .units import add_unit_findings

LONGEST_NUMBER = 18  # digits that fit into 64 bits
FIELDS = ('image', 'center', 'scale', 'joints', 'joints_vis')


def check_mpii(
    path: str | Path, num_keypoints: int | None = None, headbox_file: str | None = None
) -> People:
    """Check an annotation file, and whether the boxes of heads belong to it.

    Args:
        num_keypoints: K of the metainfo; None if it is not known.
        headbox_file: MATLAB file with ``headboxes_src``, (2, 2, people).
    """
    findings = Findings(path)
    people = People(findings, read_json(path, findings))
    rows = people.content
    if rows is None:
        return people
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        people.content = None
        findings.error("it is not a list of people, as MPII's annotations are")
        return people
    ids = np.arange(len(rows))
    findings.errors(
        f'not all of {", ".join(FIELDS)} are there',
        'entry',
        [i for i in ids if not all(field in rows[i] for field in FIELDS)],
    )
    names = [row.get('image') if isinstance(row.get('image'), str) else '' for row in rows]
    stems = [name.split('.')[0] for name in names]
    numbered = np.array([s.isdecimal() and len(s) <= LONGEST_NUMBER for s in stems], bool)
    findings.errors(
        'the name of the image is not a number, which MMPose takes for its id',
        'entry',
        ids[~numbered],
    )
    good = _check_joints(rows, ids, num_keypoints, findings)
    places, placed = numbers([_place(row) for row in rows], 3)
    placed &= np.isfinite(places).all(1)
    findings.errors('center and scale are not three finite numbers', 'entry', ids[~placed])
    flat = placed & (places[:, 2] <= 0)
    findings.errors('the scale is not above 0', 'entry', ids[flat])
    people.usable = np.flatnonzero(good & placed & ~flat & numbered)
    if not len(people.usable):
        findings.error('nobody in it can be used')
    used = dict.fromkeys(names[i] for i in people.usable)
    people.images = [Image(name, name, None) for name in used]
    people.image_ids = list(dict.fromkeys(int(stems[i]) for i in np.flatnonzero(numbered)))
    if headbox_file:
        findings += _check_heads(headbox_file, len(rows))
    return people


def _place(row: Mapping[str, Any]) -> list[Any] | None:
    center = row.get('center')
    return [*center, row.get('scale')] if isinstance(center, (list, tuple)) else None


def _check_joints(
    rows: list[Mapping[str, Any]], ids: np.ndarray, num_keypoints: int | None, findings: Findings
) -> np.ndarray:
    """Which entries have K joints, and as many visibilities."""
    joints = [row.get('joints') for row in rows]
    counts = np.array([len(j) if isinstance(j, list) else 0 for j in joints], int)
    k = check_joints(findings, ids, counts, num_keypoints)
    flat = [
        [v for point in j for v in (point if isinstance(point, (list, tuple)) else [None])]
        if isinstance(j, list)
        else None
        for j in joints
    ]
    table, good = numbers(flat, 2 * k)
    labels, visible = numbers([row.get('joints_vis') for row in rows], k)
    visible &= np.isfinite(labels).all(1)
    findings.errors(
        'joints_vis has not one number for each joint', 'entry', ids[(counts == k) & ~visible]
    )
    # Coordinates of what is not labelled may be anything: nobody reads them.
    labelled = np.repeat(labels > 0, 2, axis=1)
    finite = (np.isfinite(table) | ~labelled).all(1)
    findings.errors(
        'joints hold something other than pairs of numbers, finite where they are labelled',
        'entry',
        ids[(counts == k) & ~(good & finite)],
    )
    points = np.concatenate([table.reshape(len(rows), k, 2), labels[..., None]], axis=2)
    add_unit_findings(findings, keypoint_problems(points), 'entry', ids.tolist())
    return good & finite & visible


def _check_heads(headbox_file: str, people: int) -> Findings:
    findings = Findings(headbox_file)
    try:
        content = loadmat(headbox_file)
    except FileNotFoundError:
        findings.error(missing(headbox_file))
    except Exception as error:
        # Of a file that is cut off or of another format, scipy says whatever its parser trips
        # over: ValueError, MatReadError, IndexError, zlib.error; NotImplementedError of HDF5.
        reason = f'{type(error).__name__}: {error}'
        findings.error(f'it cannot be read as a MATLAB file before version 7.3 ({reason})')
    else:
        if 'headboxes_src' not in content:
            names = [name for name in content if not name.startswith('__')]
            findings.error(f'it has no headboxes_src, but {", ".join(names) or "nothing"}')
        elif (shape := np.shape(content['headboxes_src']))[:2] != (2, 2) or len(shape) != 3:
            findings.error(f'headboxes_src has shape {shape}; expected (2, 2, people)')
        elif shape[2] != people:
            findings.error(f'{shape[2]} heads, but the annotations have {people} people')
    return findings
