"""Check annotations in COCO's format, by columns: 150,000 instances take seconds.

Letters for axes: N annotations, I images, K keypoints.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.units import id_key, number_table
from ..functional.coco.schema import coco_entries, keypoints_problem
from ..functional.coco.units import OUTSIDE, box_problems, keypoint_problems, outside_image
from .findings import Findings
from .instances import (
    AnnotatedInstances,
    ImageRecord,
    check_keypoint_counts,
    read_json,
    repeated,
)
from .units import add_unit_findings

MARGIN = 1.0  # pixels by which a labelled keypoint may be outside of its image


def check_coco(path: str | Path, num_keypoints: int | None = None) -> AnnotatedInstances:
    """Check an annotation file in COCO's format.

    Args:
        path: A JSON file.
        num_keypoints: K of the metainfo; None if it is not known.

    Returns:
        Its instances, with the findings. Usable are those that MMPose makes samples of.
    """
    findings = Findings(path)
    instances = AnnotatedInstances(findings, read_json(path, findings))
    if instances.content is None or not _has_lists(instances.content, findings):
        instances.content = None
        return instances
    images = _Images(_entries(instances.content, 'images', findings), findings)
    instances.image_ids = images.ids
    rows = _entries(instances.content, 'annotations', findings)
    instances.content = dict(instances.content, images=images.rows, annotations=rows)
    if not images.rows:
        findings.error('it lists no images')
    annotations = _Annotations(rows, images, findings)
    annotations.check_ids()
    _check_categories(instances.content, annotations, findings)
    instances.usable = annotations.check_instances(num_keypoints)
    if not len(instances.usable):
        findings.error(
            'no instance can be used: none has a valid bbox, valid keypoints and a valid image, '
            'iscrowd 0 and num_keypoints above 0'
        )
    used = dict.fromkeys(rows[i]['image_id'] for i in instances.usable)
    instances.images = [images.record(i) for i in used]
    return instances


def _has_lists(content: Any, findings: Findings) -> bool:
    for name in ('images', 'annotations'):
        if not isinstance(content, Mapping) or not isinstance(content.get(name), list):
            findings.error(f'no list of {name!r}; annotations have to be in COCO format')
            return False
    return True


def _entries(content: Mapping[str, Any], part: str, findings: Findings) -> list[Mapping[str, Any]]:
    """Return the entries of a list that are dicts, with a finding about the first other one."""
    try:
        return coco_entries(content, part)
    except ValueError as error:
        findings.error(str(error))
    return [entry for entry in content[part] if isinstance(entry, Mapping)]


def _mask(values: Iterable[bool]) -> np.ndarray:
    return np.array(list(values), bool)


def _pick(values: list[Any], mask: np.ndarray) -> list[Any]:
    return [values[i] for i in np.flatnonzero(mask)]


def _as_float(value: Any) -> float | None:
    """Return a number, infinity if it is too large for a float, or None for anything else."""
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:
        return np.inf


class _Images:
    """The list of images.

    Attributes:
        rows: The entries (I,) of the file.
        ids: Their ids (I,).
        sizes: Width and height (I, 2).
        are_valid: Which of them (I,) have an id, a file name and a size.
    """

    def __init__(self, rows: list[Mapping[str, Any]], findings: Findings) -> None:
        self.rows = rows
        self.ids = [id_key(row.get('id')) for row in rows]
        self.row_of = {i: n for n, i in enumerate(self.ids)}
        self.sizes, has_size = number_table([[r.get('width'), r.get('height')] for r in rows], 2)
        findings.errors('no id', 'row', [n for n, r in enumerate(rows) if r.get('id') is None])
        findings.errors('two images have the same id', 'image', repeated(self.ids))
        given = [row['id'] for row in rows if row.get('id') is not None]
        findings.errors(
            "the id is text, with which MMPose's datasets fail: write a number",
            'image',
            [repr(i) for i in given if isinstance(i, str)],
        )
        findings.errors(
            'the id is neither number nor text',
            'image',
            [repr(i) for i in given if not isinstance(i, (int, float, str))],
        )
        has_name = _mask(isinstance(r.get('file_name'), str) for r in rows)
        findings.errors('no file_name', 'image', _pick(self.ids, ~has_name))
        has_size &= (self.sizes > 0).all(1) & np.isfinite(self.sizes).all(1)
        findings.errors(
            'width and height are not numbers above 0', 'image', _pick(self.ids, ~has_size)
        )
        has_id = _mask(isinstance(r.get('id'), (int, float, str)) for r in rows)
        self.are_valid = has_id & has_name & has_size

    def rows_of(self, ids: list[Any]) -> np.ndarray:
        """Return the row of each id, -1 where there is none."""
        return np.array([self.row_of.get(id_key(i), -1) for i in ids], int)

    def record(self, image_id: Any) -> ImageRecord:
        n = self.row_of[image_id]
        width, height = self.sizes[n]
        return ImageRecord(image_id, self.rows[n]['file_name'], (int(width), int(height)))


class _Annotations:
    """The list of annotations.

    Attributes:
        rows: The entries (N,) of the file.
        ids: Their ids (N,).
        image: The row (N,) of the image of each, -1 where it is not listed.
        sizes: Width and height (N, 2) of the images, NaN where they are not known.
        is_crowd: Whether each (N,) is a crowd.
    """

    def __init__(self, rows: list[Mapping[str, Any]], images: _Images, findings: Findings) -> None:
        self.rows, self.findings = rows, findings
        self.ids = self.column('id')
        self.image = images.rows_of(self.column('image_id'))
        self.has_valid_image = np.zeros(len(rows), bool)
        if images.rows:
            self.has_valid_image = (self.image >= 0) & images.are_valid[self.image]
        self.sizes = np.full((len(rows), 2), np.nan)
        self.sizes[self.has_valid_image] = images.sizes[self.image[self.has_valid_image]]
        self.is_crowd = _mask(bool(c) for c in self.column('iscrowd'))

    def column(self, name: str) -> list[Any]:
        return [row.get(name) for row in self.rows]

    def error(self, message: str, mask: np.ndarray) -> None:
        """Add an error of the annotations in a mask (N,)."""
        self.findings.errors(message, 'annotation', _pick(self.ids, mask))

    def warn(self, message: str, mask: np.ndarray) -> None:
        """Add a warning of the annotations in a mask (N,)."""
        self.findings.warnings(message, 'annotation', _pick(self.ids, mask))

    def check_ids(self) -> None:
        findings = self.findings
        findings.errors('no id', 'row', [n for n, i in enumerate(self.ids) if i is None])
        findings.errors(
            'the id is neither number nor text',
            'annotation',
            [repr(i) for i in self.ids if not (i is None or isinstance(i, (int, float, str)))],
        )
        keys = [id_key(i) for i in self.ids]
        findings.errors('two annotations have the same id', 'annotation', repeated(keys))
        findings.warnings(
            'the id is text: write a number',
            'annotation',
            [repr(i) for i in self.ids if isinstance(i, str)],
        )
        unlisted = self.image < 0
        images = _pick(self.column('image_id'), unlisted)
        findings.errors(
            "the image_id is not among the 'images'",
            'annotation',
            [f'{i} (image_id {image!r})' for i, image in zip(_pick(self.ids, unlisted), images)],
        )

    def check_instances(self, num_keypoints: int | None) -> np.ndarray:
        """Check boxes, keypoints and areas.

        Args:
            num_keypoints: K of the metainfo; None if it is not known.

        Returns:
            The rows that MMPose makes samples of.
        """
        has_box = self._check_boxes()
        self._check_missing_keypoints(has_box)
        points, has_points = self._read_keypoints(num_keypoints)
        is_labelled = points[..., 2] > 0
        is_finite = np.isfinite(points)
        # Nothing reads the coordinates of unlabelled keypoints: they may be anything.
        is_broken = (is_labelled & ~is_finite[..., :2].all(2)).any(1) | ~is_finite[..., 2].all(1)
        self.error('a labelled keypoint or a visibility is not finite', has_points & is_broken)
        is_instance = has_points & ~self.is_crowd & is_labelled.any(1)
        self._check_coordinates(points, is_labelled, is_instance)
        self._check_num_keypoints(is_labelled.sum(1), is_instance)
        self._check_areas(is_instance)

        is_counted_zero = _mask(c == 0 for c in self.column('num_keypoints'))
        # MMPose leaves out instances without a positive coordinate; a NaN passes its test.
        largest = points[..., :2].max(axis=(1, 2), initial=-np.inf)
        return np.flatnonzero(
            has_points
            & ~is_broken
            & ~self.is_crowd
            & ~is_counted_zero
            & has_box
            & ~(largest <= 0)
            & self.has_valid_image
        )

    def _check_boxes(self) -> np.ndarray:
        """Return which boxes (N,) can be cropped."""
        given = self.column('bbox')
        boxes, is_valid = number_table(given, 4)
        is_none = _mask(b is None for b in given)
        is_null = _mask('bbox' in row and 'keypoints' in row for row in self.rows) & is_none
        self.error(
            'the bbox is null, with which MMPose fails: leave it out, or give x, y, width and '
            'height',
            is_null,
        )
        self.warn('no bbox: left out', is_none & ~is_null & ~self.is_crowd)
        is_valid &= np.isfinite(boxes).all(1)
        self.error('the bbox is not four numbers x, y, width and height', ~is_none & ~is_valid)
        is_empty = is_valid & (boxes[:, 2:] <= 0).any(1)
        self.warn('the bbox has no width or no height: left out', is_empty & ~self.is_crowd)
        problems = box_problems(np.where(self.is_crowd[:, None], np.nan, boxes), self.sizes)
        remarks = {OUTSIDE: ': left out'}
        add_unit_findings(self.findings, problems, 'annotation', self.ids, remarks)
        return is_valid & ~is_empty & ~outside_image(boxes, self.sizes)

    def _check_missing_keypoints(self, has_box: np.ndarray) -> None:
        """Check instances without keypoints: MMPose leaves them out, but for two ways to write."""
        is_missing = _mask(row.get('keypoints') in (None, []) for row in self.rows)
        is_null = _mask(
            'bbox' in row and 'keypoints' in row and row['keypoints'] is None for row in self.rows
        )
        self.error('the keypoints are null, with which MMPose fails: leave them out', is_null)
        # Of an empty list, MMPose looks for the largest coordinate if nothing else leaves it out.
        is_empty = _mask(row.get('keypoints') == [] for row in self.rows)
        is_counted = _mask(row.get('num_keypoints', 0) != 0 for row in self.rows)
        fails = is_empty & is_counted & ~self.is_crowd & has_box
        self.error(
            'the keypoints are an empty list, but num_keypoints is not 0: MMPose fails; make it 0',
            fails,
        )
        self.warn('no keypoints: nothing is learnt of them', is_missing & ~is_null & ~fails)

    def _read_keypoints(self, num_keypoints: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Return x, y and visibility (N, K, 3), and which rows (N,) hold them."""
        given = self.column('keypoints')
        problems = [
            None if k is None or k == [] else keypoints_problem(k, num_keypoints) for k in given
        ]
        for problem in dict.fromkeys(problems):
            if problem is not None:
                self.error(problem, _mask(other == problem for other in problems))
        lengths = np.array([len(k) if isinstance(k, list) else -1 for k in given], int)
        are_triples = (lengths > 0) & _mask(problem is None for problem in problems)
        names = np.array([str(i) for i in self.ids], object)
        k = check_keypoint_counts(
            self.findings, names[are_triples], lengths[are_triples] // 3, num_keypoints
        )
        table, are_numbers = number_table(given, 3 * k)
        self.error(
            'keypoints hold something other than numbers',
            are_triples & (lengths == 3 * k) & ~are_numbers,
        )
        return table.reshape(len(self.rows), k, 3), are_numbers & are_triples

    def _check_coordinates(
        self, points: np.ndarray, is_labelled: np.ndarray, is_instance: np.ndarray
    ) -> None:
        problems = keypoint_problems(
            np.where(is_instance[:, None, None], points, np.nan), self.sizes
        )
        add_unit_findings(self.findings, problems, 'annotation', self.ids)
        xy, visibility = points[..., :2], points[..., 2]
        with np.errstate(invalid='ignore'):
            is_outside = (xy < -MARGIN) | (xy > self.sizes[:, None] + MARGIN)
        self.warn(
            'a labelled keypoint is outside of the image',
            is_instance & (is_labelled & is_outside.any(2)).any(1),
        )
        is_unusual = ~np.isin(visibility, (0, 1, 2)) & np.isfinite(visibility)
        self.warn(
            'a visibility is none of 0, 1 and 2: MMPose takes it as a weight, of at most 1',
            is_instance & is_unusual.any(1),
        )

    def _check_num_keypoints(self, num_labelled: np.ndarray, is_instance: np.ndarray) -> None:
        given = self.column('num_keypoints')
        counts = np.array([_as_float(c) for c in given], float)
        with np.errstate(invalid='ignore'):
            is_number = np.abs(counts) < 2**53
        self.error('num_keypoints is no number', _mask(c is not None for c in given) & ~is_number)
        differs = is_instance & np.isfinite(counts) & (counts != num_labelled)
        rows = np.flatnonzero(differs)
        self.findings.warnings(
            'num_keypoints is not the number of labelled keypoints; where it is 0, the instance '
            'is left out',
            'annotation',
            [f'{self.ids[i]} ({given[i]}, not {num_labelled[i]})' for i in rows],
        )

    def _check_areas(self, is_instance: np.ndarray) -> None:
        given = self.column('area')
        areas = [_as_float(a) for a in given]
        self.error(
            'the area is no number',
            _mask(a is not None and number is None for a, number in zip(given, areas)),
        )
        self.warn(
            "no area above 0, by which OKS measures: hrnet_plugin's metric takes 0.53 of the box "
            'instead; pycocotools and stock CocoMetric fail, or give an AP of 0',
            is_instance & ~(np.array(areas, float) > 0),
        )


def _check_categories(
    content: Mapping[str, Any], annotations: _Annotations, findings: Findings
) -> None:
    listed = content.get('categories')
    if not isinstance(listed, list) or not listed:
        findings.error("no list of 'categories', in which the annotated category has its id")
        return
    categories = _entries(content, 'categories', findings)
    findings.errors(
        'no id that is a number or text',
        'category',
        [n for n, c in enumerate(categories) if not isinstance(c.get('id'), (int, float, str))],
    )
    known = {id_key(c.get('id')) for c in categories}
    given = annotations.column('category_id')
    findings.errors(
        "the category_id is not among the 'categories'",
        'annotation',
        [
            f'{i} (category_id {c!r})'
            for i, c in zip(annotations.ids, given)
            if id_key(c) not in known
        ],
    )
