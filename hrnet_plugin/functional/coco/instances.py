"""Annotated and detected instances, sorted for matching.

Letters for axes: D detections, G annotated instances, K keypoints.
"""

import warnings
from dataclasses import dataclass, fields, replace

import numpy as np

from .arrays import Annotations, Predictions, check_number
from .ids import Groups, Ids, as_id, id_order
from .numeric import argsort_descending, blocks, stable_argsort

# Share of its box that a person fills; replaces an area that is not annotated, as in MMPose.
AREA_PER_BOX = 0.53

# Lowest and highest corners, x and y apart: two (2, N).
Box = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class GroundTruth:
    """Annotated instances, sorted by group."""

    row: np.ndarray  # (G,), indices of the annotations
    group: np.ndarray  # (G,)
    keypoints: np.ndarray  # (G, K, 3), x, y and above 0 where labelled
    area: np.ndarray  # (G,)
    bbox: np.ndarray  # (G, 4)
    crowd: np.ndarray  # (G,)
    ignore: np.ndarray  # (G,), crowds and instances without a labelled keypoint

    @classmethod
    def of(
        cls, annotations: Annotations, groups: Groups, num_keypoints: int, use_area: bool
    ) -> 'GroundTruth':
        """Sort annotations; warn of areas that are not usable.

        Raises:
            ValueError: A labelled keypoint or a box is not finite, or there are not
                ``num_keypoints`` keypoints.
        """
        image = groups.images.number(annotations.image_id)
        category = groups.categories.number(annotations.category_id)
        group = groups.number(image, category)
        row = stable_argsort(group + 1, len(groups) + 1)
        row = row[group[row] >= 0]

        keypoints = annotations.keypoints
        if len(keypoints) and not keypoints[0].size:  # no annotation has any: all are unlabelled
            keypoints = np.zeros((len(keypoints), num_keypoints, 3))
        ids = annotations.id[row]
        if len(row):
            check_number(f'annotation {as_id(ids[0])!r}', keypoints[0].size, num_keypoints)
        keypoints = keypoints[row].reshape(len(row), num_keypoints, 3)
        bbox, crowd = annotations.bbox[row], annotations.iscrowd[row]
        _check_finite_annotations(ids, keypoints, bbox)

        num_labelled = annotations.num_keypoints[row]
        counted = (keypoints[..., 2] > 0).sum(axis=-1)
        ignore = crowd | (np.where(num_labelled < 0, counted, num_labelled) == 0)
        box_area = bbox[:, 2] * bbox[:, 3] * AREA_PER_BOX
        area = annotations.area[row] if use_area else box_area
        _warn_about_areas(area, box_area, ignore)
        area = np.where(np.isnan(area), box_area, area)
        return cls(row, group[row], keypoints, area, bbox, crowd, ignore)

    @property
    def visible(self) -> np.ndarray:
        """(G, K), above 0 where labelled."""
        return self.keypoints[..., 2]

    def with_keypoint(self, k: int) -> 'GroundTruth':
        """Keep a single keypoint, and ignore instances in which it is not labelled."""
        keypoints = self.keypoints[:, k, None]
        ignore = self.crowd | ~(keypoints[:, 0, 2] > 0)
        return replace(self, keypoints=keypoints, ignore=ignore)

    def take(self, mask: np.ndarray) -> 'GroundTruth':
        """Keep the instances where a mask (G,) is true."""
        return replace(
            self, **{each.name: getattr(self, each.name)[mask] for each in fields(self)}
        )


@dataclass(frozen=True)
class Detections:
    """The best predictions of each group, sorted by group and descending score."""

    row: np.ndarray  # (D,), indices of the predictions
    group: np.ndarray  # (D,)
    score: np.ndarray  # (D,)
    by_score: np.ndarray  # (D,), order of descending score over all groups, first groups first
    keypoints: np.ndarray  # (all predictions, K, 3)
    box: Box  # (2, D), around the keypoints
    area: np.ndarray  # (D,)

    @classmethod
    def of(cls, predictions: Predictions, groups: Groups, max_dets: int) -> 'Detections':
        """Keep the ``max_dets`` best predictions of each group.

        Raises:
            ValueError: Predictions name an unknown image, or unknown categories only.
        """
        if not len(predictions.score):
            warnings.warn(
                'there are no predictions: AP and AR are 0, or -1 without annotated instances',
                stacklevel=4,  # the caller of evaluate_coco_keypoints
            )
        image = groups.images.number(predictions.image_id)
        category = groups.categories.number(predictions.category_id)
        _check_known('image', predictions.image_id, image, groups.images, every=True)
        _check_known('category', predictions.category_id, category, groups.categories, every=False)
        group, score = groups.number(image, category), predictions.score
        row, by_score = _rank(group, score, len(groups), max_dets)
        low, high = (corner.take(row, axis=1) for corner in extents(predictions.keypoints))
        with np.errstate(over='ignore'):  # an infinite area is as good as any that is too large
            width, height = high - low
            if predictions.bbox is not None:
                width, height = predictions.bbox[row, 2:].T
            area = width * height
        return cls(row, group[row], score[row], by_score, predictions.keypoints, (low, high), area)

    def with_keypoint(self, k: int) -> 'Detections':
        """Keep a single keypoint, with the areas of whole detections."""
        keypoints = np.ascontiguousarray(self.keypoints[:, k, None])
        corner = keypoints[self.row, 0, :2].T.astype(np.float64)
        return replace(self, keypoints=keypoints, box=(corner, corner))

    def with_keypoints(self, keypoints: np.ndarray, changed: np.ndarray) -> 'Detections':
        """Replace the keypoints; areas stay.

        Args:
            keypoints: Keypoints (all predictions, K, 3).
            changed: Mask (D,) of the detections that they change.
        """
        low, high = (corner.copy() for corner in self.box)
        low[:, changed], high[:, changed] = extents(keypoints[self.row[changed]])
        return replace(self, keypoints=keypoints, box=(low, high))

    def with_scores(self, score: np.ndarray) -> tuple['Detections', np.ndarray]:
        """Replace the scores (D,), and sort anew; equal ones are in the order of predictions.

        Returns:
            The detections, and the index (D,) of each among these.
        """
        given = np.argsort(self.row)
        num_groups = self.group.max(initial=-1) + 1
        order, by_score = _rank(self.group[given], score[given], num_groups, len(given))
        order = given[order]
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return replace(self._at(order), score=score[order], by_score=by_score), place

    def take(self, mask: np.ndarray) -> 'Detections':
        """Keep the detections where a mask (D,) is true."""
        number = np.cumsum(mask) - 1
        return replace(
            self._at(np.flatnonzero(mask)), by_score=number[self.by_score[mask[self.by_score]]]
        )

    def _at(self, place: np.ndarray) -> 'Detections':
        """Return the detections at these places (D',), without order by score."""
        low, high = (corner[:, place] for corner in self.box)
        row, group, score = (each[place] for each in (self.row, self.group, self.score))
        return Detections(row, group, score, place, self.keypoints, (low, high), self.area[place])


def extents(keypoints: np.ndarray, labelled_only: bool = False) -> Box:
    """Return the smallest boxes around keypoints (N, K, 3), float64.

    Args:
        keypoints: Keypoints (N, K, 3).
        labelled_only: Whether only those count whose third number is above 0. Where none is, the
            box reaches from infinity to minus infinity.
    """
    low, high = np.empty((2, 2, len(keypoints)))
    for block in blocks(len(keypoints), keypoints.shape[1] * 3):
        # Transposed, as reductions over the last but one axis are slow.
        points = np.ascontiguousarray(keypoints[block, :, :2].transpose(2, 1, 0))
        left_out = labelled_only and ~(keypoints[block, :, 2].T > 0)
        np.copyto(points, np.inf, where=left_out)
        points.min(axis=1, out=low[:, block])
        np.copyto(points, -np.inf, where=left_out)
        points.max(axis=1, out=high[:, block])
    return low, high


def _rank(
    group: np.ndarray, score: np.ndarray, num_groups: int, max_dets: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sort by group and descending score, and keep the best of each group.

    Args:
        group: Groups (N,), -1 for what is left out.
        score: Scores (N,).
        num_groups: Number of groups.
        max_dets: Number of predictions to keep of each group.

    Returns:
        Indices (D,) of the kept predictions, and the order (D,) of descending score among these,
        over all groups; equal scores are in the order of their groups.
    """
    by_group = stable_argsort(group + 1, num_groups + 1)
    by_group = by_group[np.count_nonzero(group < 0) :]
    by_score = by_group[argsort_descending(score[by_group])]
    row = by_score[stable_argsort(group[by_score], num_groups)]
    sizes = np.bincount(group[row], minlength=num_groups)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    row = row[rank < max_dets]
    place = np.full(len(group), -1)
    place[row] = np.arange(len(row))
    by_score = place[by_score]
    return row, by_score[by_score >= 0]


def _check_finite_annotations(ids: np.ndarray, keypoints: np.ndarray, bbox: np.ndarray) -> None:
    """Raise a ValueError if a labelled keypoint or a box is not finite: its OKS would be NaN."""
    if np.isfinite(keypoints.sum()) and np.isfinite(bbox.sum()):  # then so are all terms
        return
    bad_keypoints = ~np.isfinite(keypoints[..., :2]).all(axis=-1) & (keypoints[..., 2] > 0)
    bad = bad_keypoints.any(axis=-1) | ~np.isfinite(bbox).all(axis=-1)
    if bad.any():
        raise ValueError(
            f'{bad.sum()} annotations have a NaN or an infinity among their keypoints or in their '
            f'box; the first is annotation {as_id(ids[np.argmax(bad)])!r}'
        )


def _check_known(name: str, ids: np.ndarray, numbers: np.ndarray, known: Ids, every: bool) -> None:
    """Raise a ValueError for ids that the annotations lack: they would silently score 0."""
    if not (numbers < 0).any():
        return
    unknown = {*ids[numbers < 0].tolist()}
    shared = len(np.unique(numbers[numbers >= 0]))
    if every or not shared:
        raise ValueError(
            f'{name} {min(unknown, key=id_order)!r} of the predictions is not among the '
            f'annotations, which have {", ".join(repr(as_id(i)) for i in known.values[:3])}, … '
            f'({shared} ids are shared, {len(unknown)} are not); were both, and any `bbox_file`, '
            'made for the same dataset?'
        )


def _warn_about_areas(area: np.ndarray, box_area: np.ndarray, ignore: np.ndarray) -> None:
    level = 5  # the caller of evaluate_coco_keypoints
    missing = np.isnan(area)
    if (counted := missing & ~ignore).any():
        warnings.warn(
            f'{counted.sum()} of {len(area)} annotations have no usable area; '
            f'{AREA_PER_BOX} of the box area is taken instead',
            stacklevel=level,
        )
    tiny = np.sum((np.where(missing, box_area, area) < 1) & ~ignore)
    if tiny:
        warnings.warn(
            f'{tiny} annotated instances have an area of 0 or less than a pixel, and can hardly '
            'be matched; leave the area out, or say use_area=False, to go by their boxes',
            stacklevel=level,
        )
