"""Collect from data samples what evaluation needs, as tables."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..functional.coco.arrays import annotation_table
from .gather import Table, concatenate, gather, id_column, object_array


class Collected(NamedTuple):
    """What evaluation keeps of data samples.

    Attributes:
        samples: One row for each sample: ``id``, ``image_id``, ``category_id``,
            ``num_instances`` and ``has_boxes``; with annotations also ``crowd_index``, and with
            paths ``img_path``.
        instances: One row for each predicted instance, sample by sample: ``keypoints``
            (N, K, 2), ``keypoint_scores`` (N, K), ``bbox_scores`` (N,), ``areas`` (N,) and
            ``bbox`` (N, 4).
        annotations: One row for each annotation that comes with the samples, as in
            :class:`~hrnet_plugin.functional.coco.arrays.Annotations`; no columns where the
            annotations come from a file.
    """

    samples: Table
    instances: Table
    annotations: Table


def collect(
    samples: Sequence[Mapping[str, Any]],
    num_keypoints: int,
    with_annotations: bool,
    with_crowd_index: bool,
    with_paths: bool = False,
) -> Collected:
    """Collect what evaluation needs of data samples.

    Args:
        samples: Data samples, see ``OKSMetric.process``.
        num_keypoints: Expected number of keypoints.
        with_annotations: Whether to keep the annotations that come with the samples.
        with_crowd_index: Whether these must have a crowd index.
        with_paths: Whether to keep the paths of the images, empty where a sample has none.

    Raises:
        ValueError: Predictions are missing or have another number of keypoints, or annotations or
            their ids are missing.
    """
    parts = [_empty(num_keypoints, with_annotations, with_paths)]
    for sample in samples:
        row, instances = _predictions(sample, num_keypoints)
        if with_paths:
            row['img_path'] = object_array([str(sample.get('img_path') or '')])
        annotations: Table = {}
        if with_annotations:
            annotations = _annotations(sample, with_crowd_index, num_keypoints)
            row['crowd_index'] = np.array([sample.get('crowd_index', np.nan)], np.float64)
        parts.append(Collected(row, instances, annotations))
    return join(parts)


def join(parts: Sequence[Collected]) -> Collected:
    """Append what was collected from several batches or processes."""
    return Collected(*map(concatenate, zip(*parts)))


def gather_collected(collected: Collected) -> list[Collected]:
    """Return what all processes have collected, in the order of their ranks."""
    return [Collected(*tables) for tables in zip(*map(gather, collected))]


def _predictions(sample: Mapping[str, Any], num_keypoints: int) -> tuple[Table, Table]:
    """Return a row (1, …) about the sample, and its predicted instances (N, …)."""
    if 'pred_instances' not in sample:
        raise ValueError('a data sample has no `pred_instances`; predict before evaluating')
    pred, gt = sample['pred_instances'], sample.get('gt_instances', {})
    if not len(pred['keypoints']):  # without instances, models return arrays of various shapes
        pred = _no_instances(num_keypoints)
    keypoints, scores = _numpy(pred['keypoints']), _numpy(pred['keypoint_scores'])
    count = len(keypoints)
    expected = (count, num_keypoints, 2), (count, num_keypoints)
    if (keypoints.shape, scores.shape) != expected:
        raise ValueError(
            f'predicted keypoints and scores have shapes {keypoints.shape} and {scores.shape}; '
            f"expected {expected[0]} and {expected[1]}, as the dataset's metainfo has "
            f'{num_keypoints} keypoints'
        )

    # Boxes of annotations belong to the predictions only if they are as many.
    def of_boxes(name: str) -> np.ndarray | None:
        return _numpy(gt[name]) if name in gt and len(gt[name]) == count else None

    box_scores = _numpy(pred['bbox_scores']) if 'bbox_scores' in pred else of_boxes('bbox_scores')
    scales = of_boxes('bbox_scales')
    has_boxes = 'bboxes' in pred and len(pred['bboxes']) == count
    row = dict(
        id=id_column(sample['id']),
        image_id=id_column(sample['img_id']),
        category_id=id_column(_first(sample.get('category_id'))),
        num_instances=np.array([count]),
        has_boxes=np.array([has_boxes or not count]),
    )
    instances = dict(
        keypoints=keypoints,
        keypoint_scores=scores,
        bbox_scores=np.ones(count) if box_scores is None else box_scores,
        areas=_extent(keypoints) if scales is None else np.prod(scales, axis=1),
        bbox=_as_xywh(_numpy(pred['bboxes'])) if has_boxes else np.full((count, 4), np.nan),
    )
    return row, instances


def _annotations(sample: Mapping[str, Any], with_crowd_index: bool, num_keypoints: int) -> Table:
    """Return the annotations (G, …) that come with a sample."""
    if 'raw_ann_info' not in sample:
        raise ValueError(
            'there is nothing to evaluate against: give OKSMetric an `ann_file`, or put '
            '`raw_ann_info` into the data samples'
        )
    if with_crowd_index and 'crowd_index' not in sample:
        raise ValueError(
            "a data sample has no `crowd_index`, by which iou_type='keypoints_crowd' divides "
            'images; put it into the data samples, or give OKSMetric an `ann_file` that has it'
        )
    anns = sample['raw_ann_info']
    anns = anns if isinstance(anns, (list, tuple)) else [anns]  # bottom-up samples have several
    anns = [ann for ann in anns if ann is not None]
    if any(ann.get('id') is None for ann in anns):
        raise ValueError(
            f'sample {sample["id"]!r} of image {sample["img_id"]!r}: an annotation in its '
            "`raw_ann_info` has no 'id', which identifies it; give each one of its own"
        )
    table = annotation_table(anns)
    if not table['keypoints'].size:  # no annotation, or only some without keypoints
        table['keypoints'] = np.zeros((len(anns), num_keypoints, 3))
    return table


def _empty(num_keypoints: int, with_annotations: bool, with_paths: bool) -> Collected:
    """Return the tables of no samples, with all columns."""
    sample = dict(id=0, img_id=0, pred_instances=_no_instances(num_keypoints), raw_ann_info=[])
    row, instances = _predictions(sample, num_keypoints)
    annotations: Table = {}
    if with_annotations:
        annotations = _annotations(sample, False, num_keypoints)
        row['crowd_index'] = np.array([np.nan])
    if with_paths:
        row['img_path'] = object_array([''])
    return Collected({name: column[:0] for name, column in row.items()}, instances, annotations)


def _no_instances(num_keypoints: int) -> dict[str, np.ndarray]:
    return dict(
        keypoints=np.zeros((0, num_keypoints, 2)), keypoint_scores=np.zeros((0, num_keypoints))
    )


def _first(category: Any) -> Any:
    """Return the category of a sample, or the first of its instances, which all have the same."""
    values = np.ravel([] if category is None else category)
    return values[0] if len(values) else None


def _numpy(values: Any) -> np.ndarray:
    return (
        values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    )


def _as_xywh(corners: np.ndarray) -> np.ndarray:
    return np.concatenate([corners[:, :2], corners[:, 2:4] - corners[:, :2]], axis=1)


def _extent(keypoints: np.ndarray) -> np.ndarray:
    """Compute the area (N,) of the smallest box around the keypoints of each instance."""
    return np.prod(np.ptp(keypoints, axis=1), axis=-1) if len(keypoints) else np.zeros(0)
