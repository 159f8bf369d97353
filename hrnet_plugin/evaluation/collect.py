"""What evaluation keeps of a data sample that a model has predicted on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..functional.coco.arrays import annotation_columns
from .gather import Columns, id_column


def sample_columns(sample: Mapping[str, Any], num_keypoints: int) -> Columns:
    """Values of the sample, (1, …), and of each person in it, (N, …).

    Raises:
        ValueError: if predictions are missing or have another number of keypoints.
    """
    if 'pred_instances' not in sample:
        raise ValueError('a data sample has no `pred_instances`; predict before evaluating')
    pred, gt = sample['pred_instances'], sample.get('gt_instances', {})
    if not len(pred['keypoints']):  # of nobody, models put out arrays of various shapes
        pred = _nobody(num_keypoints)
    keypoints, scores = _numpy(pred['keypoints']), _numpy(pred['keypoint_scores'])
    people = len(keypoints)
    expected = (people, num_keypoints, 2), (people, num_keypoints)
    if (keypoints.shape, scores.shape) != expected:
        raise ValueError(
            f'predicted keypoints and scores have shapes {keypoints.shape} and {scores.shape}; '
            f"expected {expected[0]} and {expected[1]}, as the data set's metainfo has "
            f'{num_keypoints} keypoints'
        )

    # Boxes of annotations belong to the predictions only if they are as many.
    def of_boxes(name: str) -> np.ndarray | None:
        return _numpy(gt[name]) if name in gt and len(gt[name]) == people else None

    box_scores = _numpy(pred['bbox_scores']) if 'bbox_scores' in pred else of_boxes('bbox_scores')
    scales = of_boxes('bbox_scales')
    return dict(
        id=id_column(sample['id']),
        image_id=id_column(sample['img_id']),
        category_id=id_column(_first(sample.get('category_id'))),
        people=np.array([people]),
        keypoints=keypoints,
        keypoint_scores=scores,
        bbox_scores=np.ones(people) if box_scores is None else box_scores,
        areas=_extent(keypoints) if scales is None else np.prod(scales, axis=1),
        bbox=_as_xywh(_numpy(pred['bboxes'])) if 'bboxes' in pred else np.zeros((0, 4)),
    )


def annotations_of_sample(
    sample: Mapping[str, Any], with_crowd_index: bool, num_keypoints: int
) -> Columns:
    """Columns of the annotations that come with a sample, (G, …), and its crowd index, (1,).

    Raises:
        ValueError: if there are none, or if they have no ids.
    """
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
            "`raw_ann_info` has no 'id', by which people are told apart; give each one of its own"
        )
    columns = annotation_columns(anns)
    if not columns['keypoints'].size:  # of no annotation, or of some without keypoints
        columns['keypoints'] = np.zeros((len(anns), num_keypoints, 3))
    columns['crowd_index'] = np.array([sample.get('crowd_index', np.nan)], np.float64)
    return columns


def no_columns(num_keypoints: int) -> tuple[Columns, Columns]:
    """The columns of both functions above, of no samples."""
    sample = dict(id=0, img_id=0, pred_instances=_nobody(num_keypoints), raw_ann_info=[])
    annotations = annotations_of_sample(sample, False, num_keypoints)
    return _no_rows(sample_columns(sample, num_keypoints)), _no_rows(annotations)


def _nobody(num_keypoints: int) -> dict[str, np.ndarray]:
    return dict(
        keypoints=np.zeros((0, num_keypoints, 2)), keypoint_scores=np.zeros((0, num_keypoints))
    )


def _no_rows(columns: Columns) -> Columns:
    return {name: column[:0] for name, column in columns.items()}


def _first(category: Any) -> Any:
    """The category of a sample; one of several people has one for each, and all the same."""
    values = np.ravel([] if category is None else category)
    return values[0] if len(values) else None


def _numpy(values: Any) -> np.ndarray:
    return (
        values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    )


def _as_xywh(corners: np.ndarray) -> np.ndarray:
    return np.concatenate([corners[:, :2], corners[:, 2:4] - corners[:, :2]], axis=1)


def _extent(keypoints: np.ndarray) -> np.ndarray:
    """Area of the smallest box around each person's keypoints: (N,)."""
    return np.prod(np.ptp(keypoints, axis=1), axis=-1) if len(keypoints) else np.zeros(0)
