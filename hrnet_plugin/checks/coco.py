"""Annotations in COCO's format, checked in columns: 150,000 people take seconds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..functional.coco.schema import coco_entries, keypoints_problem
from ..functional.coco.units import (
    OUTSIDE,
    box_problems,
    keypoint_problems,
    outside_image,
)
from .findings import Findings
from .instances import Image, People, check_joints, numbers, read_json, repeated
from .units import add_unit_findings

MARGIN = 1.0  # pixels by which a labelled keypoint may be outside of its picture


def check_coco(path: str | Path, num_keypoints: int | None = None) -> People:
    """Check an annotation file.

    Args:
        num_keypoints: K of the metainfo; None if it is not known.
    """
    findings = Findings(path)
    people = People(findings, read_json(path, findings))
    if people.content is None or not _has_lists(people.content, findings):
        people.content = None
        return people
    images = _Images(_dicts(people.content, 'images', findings), findings)
    people.image_ids = images.ids
    rows = _dicts(people.content, 'annotations', findings)
    people.content = dict(people.content, images=images.rows, annotations=rows)
    if not images.rows:
        findings.error('it lists no images')
    ids = _column(rows, 'id')
    _check_ids(ids, _column(rows, 'image_id'), images, findings)
    _check_categories(people.content, rows, ids, findings)
    people.usable = _check_people(rows, ids, images, num_keypoints, findings)
    if not len(people.usable):
        findings.error(
            'nobody can be used: of no annotation are all of bbox, keypoints and image sound, '
            'iscrowd 0 and num_keypoints above 0'
        )
    used = dict.fromkeys(rows[i]['image_id'] for i in people.usable)
    people.images = [images.described(i) for i in used]
    return people


def _has_lists(content: Any, findings: Findings) -> bool:
    for name in ('images', 'annotations'):
        if not isinstance(content, Mapping) or not isinstance(content.get(name), list):
            findings.error(f'no list of {name!r}; annotations have to be in COCO format')
            return False
    return True


def _dicts(content: Mapping[str, Any], part: str, findings: Findings) -> list[Mapping[str, Any]]:
    """The entries of a list that are what they have to be; the first of the others is named."""
    try:
        return coco_entries(content, part)
    except ValueError as error:
        findings.error(str(error))
    return [entry for entry in content[part] if isinstance(entry, Mapping)]


def _column(rows: list[Mapping[str, Any]], name: str) -> list[Any]:
    return [row.get(name) for row in rows]


def _key(value: Any) -> Any:
    """Something to look up, whatever JSON put in the place of an id."""
    return value if isinstance(value, (int, float, str)) else str(value)


def _pick(values: list[Any], mask: np.ndarray) -> list[Any]:
    return [values[i] for i in np.flatnonzero(mask)]


def _as_float(value: Any) -> float | None:
    """A number, infinity if it is too large for one, or None for anything else."""
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:
        return np.inf


class _Images:
    """The list of images, by id."""

    def __init__(self, rows: list[Mapping[str, Any]], findings: Findings) -> None:
        self.rows = rows
        self.ids = [_key(row.get('id')) for row in self.rows]
        self.row_of = {i: n for n, i in enumerate(self.ids)}
        self.sizes, good = numbers([[r.get('width'), r.get('height')] for r in self.rows], 2)
        findings.errors(
            'no id', 'row', [n for n, r in enumerate(self.rows) if r.get('id') is None]
        )
        findings.errors('two images have the same id', 'image', repeated(self.ids))
        given = [row['id'] for row in self.rows if row.get('id') is not None]
        findings.errors(
            "the id is text, with which MMPose's data sets fail: write a number",
            'image',
            [repr(i) for i in given if isinstance(i, str)],
        )
        findings.errors(
            'the id is neither number nor text',
            'image',
            [repr(i) for i in given if not isinstance(i, (int, float, str))],
        )
        no_name = np.array([not isinstance(r.get('file_name'), str) for r in self.rows], bool)
        findings.errors('no file_name', 'image', _pick(self.ids, no_name))
        bad = ~(good & (self.sizes > 0).all(1) & np.isfinite(self.sizes).all(1))
        findings.errors('width and height are not numbers above 0', 'image', _pick(self.ids, bad))
        has_id = np.array([isinstance(r.get('id'), (int, float, str)) for r in self.rows], bool)
        self.sound = has_id & ~(no_name | bad)

    def rows_of(self, ids: list[Any]) -> np.ndarray:
        """Row of each id, -1 if there is none."""
        return np.array([self.row_of.get(_key(i), -1) for i in ids], int)

    def described(self, image_id: Any) -> Image:
        n = self.row_of[image_id]
        width, height = self.sizes[n]
        return Image(image_id, self.rows[n]['file_name'], (int(width), int(height)))


def _check_ids(ids: list[Any], image_ids: list[Any], images: _Images, findings: Findings) -> None:
    keys = [_key(i) for i in ids]
    findings.errors('no id', 'row', [n for n, i in enumerate(ids) if i is None])
    findings.errors(
        'the id is neither number nor text',
        'annotation',
        [repr(i) for i in ids if not (i is None or isinstance(i, (int, float, str)))],
    )
    findings.errors('two annotations have the same id', 'annotation', repeated(keys))
    findings.warnings(
        'the id is text: write a number',
        'annotation',
        [repr(i) for i in ids if isinstance(i, str)],
    )
    unknown = images.rows_of(image_ids) < 0
    strangers = [
        f'{i} (image_id {image!r})'
        for i, image in zip(_pick(ids, unknown), _pick(image_ids, unknown))
    ]
    findings.errors("the image_id is not among the 'images'", 'annotation', strangers)


def _check_categories(
    content: Mapping[str, Any], rows: list[Mapping[str, Any]], ids: list[Any], findings: Findings
) -> None:
    listed = content.get('categories')
    if not isinstance(listed, list) or not listed:
        findings.error("no list of 'categories', in which the category of people has its id")
        return
    categories = _dicts(content, 'categories', findings)
    findings.errors(
        'no id that is a number or text',
        'category',
        [n for n, c in enumerate(categories) if not isinstance(c.get('id'), (int, float, str))],
    )
    known = {_key(c.get('id')) for c in categories}
    of_rows = _column(rows, 'category_id')
    findings.errors(
        "the category_id is not among the 'categories'",
        'annotation',
        [f'{i} (category_id {c!r})' for i, c in zip(ids, of_rows) if _key(c) not in known],
    )


def _check_people(
    rows: list[Mapping[str, Any]],
    ids: list[Any],
    images: _Images,
    num_keypoints: int | None,
    findings: Findings,
) -> np.ndarray:
    """Check boxes and keypoints of all; return the rows that MMPose makes samples of."""
    n = len(rows)
    crowd = np.array([bool(c) for c in _column(rows, 'iscrowd')], bool).reshape(n)
    image = images.rows_of(_column(rows, 'image_id'))
    sizes = np.full((n, 2), np.nan)
    sound = (image >= 0) & images.sound[image] if len(images.rows) else np.zeros(n, bool)
    sizes[sound] = images.sizes[image[sound]]

    box_good = _check_boxes(rows, ids, sizes, crowd, findings)
    keypoints = _column(rows, 'keypoints')
    _check_absent(rows, ids, crowd, box_good, findings)
    lengths = np.array([len(k) if isinstance(k, list) else -1 for k in keypoints], int).reshape(n)
    problems = [
        None if k is None or k == [] else keypoints_problem(k, num_keypoints) for k in keypoints
    ]
    for problem in dict.fromkeys(problems):
        if problem is not None:
            same = np.array([other == problem for other in problems], bool)
            findings.errors(problem, 'annotation', _pick(ids, same))
    triples = (lengths > 0) & np.array([problem is None for problem in problems], bool)
    id_array = np.array([str(i) for i in ids], object)
    k = check_joints(findings, id_array[triples], lengths[triples] // 3, num_keypoints)
    table, right = numbers(keypoints, 3 * k)
    findings.errors(
        'keypoints hold something other than numbers',
        'annotation',
        _pick(ids, triples & (lengths == 3 * k) & ~right),
    )
    points = table.reshape(n, k, 3)
    right &= triples
    labelled = points[..., 2] > 0
    finite = np.isfinite(points)
    # Coordinates of what is not labelled may be anything: nobody reads them.
    unfit = (labelled & ~finite[..., :2].all(2)).any(1) | ~finite[..., 2].all(1)
    findings.errors(
        'a labelled keypoint or a visibility is not finite',
        'annotation',
        _pick(ids, right & unfit),
    )
    people = right & ~crowd & labelled.any(1)
    _check_points(rows, ids, points, labelled, sizes, people, findings)
    _check_areas(rows, ids, people, findings)

    counted = _column(rows, 'num_keypoints')
    zero = np.array([c == 0 for c in counted], bool).reshape(n)
    # As MMPose has it, for which a NaN is somewhere
    somewhere = ~(points[..., :2].reshape(n, 2 * k).max(axis=1, initial=-np.inf) <= 0)
    return np.flatnonzero(right & ~unfit & ~crowd & ~zero & box_good & somewhere & sound)


def _check_absent(
    rows: list[Mapping[str, Any]],
    ids: list[Any],
    crowd: np.ndarray,
    box_good: np.ndarray,
    findings: Findings,
) -> None:
    """Instances without keypoints: MMPose leaves them out, but for two ways to write them."""
    has_none = np.array([row.get('keypoints') in (None, []) for row in rows], bool)
    null = np.array(['keypoints' in row and row['keypoints'] is None for row in rows], bool)
    null &= np.array(['bbox' in row for row in rows], bool)
    findings.errors(
        'the keypoints are null, with which MMPose fails: leave them out',
        'annotation',
        _pick(ids, null),
    )
    # Of an empty list, MMPose looks for the largest coordinate if nothing else leaves it out.
    empty = np.array([row.get('keypoints') == [] for row in rows], bool)
    counted = np.array([row.get('num_keypoints', 0) != 0 for row in rows], bool)
    fails = empty & counted & ~crowd & box_good
    findings.errors(
        'the keypoints are an empty list, but num_keypoints is not 0: MMPose fails; make it 0',
        'annotation',
        _pick(ids, fails),
    )
    findings.warnings(
        'no keypoints: nothing is learnt of them',
        'annotation',
        _pick(ids, has_none & ~null & ~fails),
    )


def _check_boxes(
    rows: list[Mapping[str, Any]],
    ids: list[Any],
    sizes: np.ndarray,
    crowd: np.ndarray,
    findings: Findings,
) -> np.ndarray:
    """Which boxes can be cut out."""
    given = _column(rows, 'bbox')
    boxes, good = numbers(given, 4)
    none = np.array([b is None for b in given], bool).reshape(len(rows))
    null = np.array(['bbox' in row and 'keypoints' in row for row in rows], bool) & none
    findings.errors(
        'the bbox is null, with which MMPose fails: leave it out, or give x, y, width and height',
        'annotation',
        _pick(ids, null),
    )
    findings.warnings('no bbox: left out', 'annotation', _pick(ids, none & ~null & ~crowd))
    findings.errors(
        'the bbox is not four numbers x, y, width and height',
        'annotation',
        _pick(ids, ~none & (~good | ~np.isfinite(boxes).all(1))),
    )
    finite = good & np.isfinite(boxes).all(1)
    flat = finite & (boxes[:, 2:] <= 0).any(1)
    findings.warnings(
        'the bbox has no width or no height: left out', 'annotation', _pick(ids, flat & ~crowd)
    )
    problems = box_problems(np.where(crowd[:, None], np.nan, boxes), sizes)
    add_unit_findings(findings, problems, 'annotation', ids, {OUTSIDE: ': left out'})
    return finite & ~flat & ~outside_image(boxes, sizes)


def _check_points(
    rows: list[Mapping[str, Any]],
    ids: list[Any],
    points: np.ndarray,
    labelled: np.ndarray,
    sizes: np.ndarray,
    people: np.ndarray,
    findings: Findings,
) -> None:
    xy = points[..., :2]
    problems = keypoint_problems(np.where(people[:, None, None], points, np.nan), sizes)
    add_unit_findings(findings, problems, 'annotation', ids)
    with np.errstate(invalid='ignore'):
        beyond = (xy < -MARGIN) | (xy > sizes[:, None] + MARGIN)
        odd = ~np.isin(points[..., 2], (0, 1, 2)) & np.isfinite(points[..., 2])
    findings.warnings(
        'a labelled keypoint is outside of the picture',
        'annotation',
        _pick(ids, people & (labelled & beyond.any(2)).any(1)),
    )
    findings.warnings(
        'a visibility is none of 0, 1 and 2: MMPose takes it as a weight, of at most 1',
        'annotation',
        _pick(ids, people & odd.any(1)),
    )
    visible = labelled.sum(1)
    given = _column(rows, 'num_keypoints')
    counts = np.array([_as_float(c) for c in given], float)
    with np.errstate(invalid='ignore'):
        no_number = np.array([c is not None for c in given], bool) & ~(np.abs(counts) < 2**53)
    findings.errors('num_keypoints is no number', 'annotation', _pick(ids, no_number))
    different = np.isfinite(counts) & (counts != visible)
    findings.warnings(
        'num_keypoints is not the number of labelled keypoints; where it is 0, the person is '
        'left out',
        'annotation',
        [
            f'{ids[i]} ({rows[i]["num_keypoints"]}, not {visible[i]})'
            for i in np.flatnonzero(people & different)
        ],
    )


def _check_areas(
    rows: list[Mapping[str, Any]], ids: list[Any], people: np.ndarray, findings: Findings
) -> None:
    given = _column(rows, 'area')
    areas = [_as_float(a) for a in given]
    no_number = np.array([a is not None and f is None for a, f in zip(given, areas)], bool)
    findings.errors('the area is no number', 'annotation', _pick(ids, no_number))
    findings.warnings(
        "no area above 0, by which OKS measures: hrnet_plugin's metric takes 0.53 of the box "
        'instead; pycocotools and stock CocoMetric fail, or give an AP of 0',
        'annotation',
        _pick(ids, people & ~(np.array(areas, float).reshape(len(rows)) > 0)),
    )
