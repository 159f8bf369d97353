"""Calibrated scores of predicted instances."""

import numpy as np
from mmengine.structures import InstanceData

from ...functional import Calibration
from ...functional.coco.scoring import score_instances


def instance_scores(instances: InstanceData) -> np.ndarray:
    """Return the scores (N,) of COCO results: calibrated ones, if the instances have them."""
    if 'scores' in instances:
        return instances.scores
    return score_instances('bbox_keypoint', instances.bbox_scores, instances.keypoint_scores)


def calibrate(instances: InstanceData, calibration: Calibration) -> None:
    """Calibrate keypoint scores in place, and add ``scores``, those of the instances.

    Args:
        instances: ``pred_instances`` of a sample: N instances of K keypoints.
        calibration: Calibration, fitted on COCO results.
    """
    keypoint_scores = instances.keypoint_scores
    instances.scores = calibration.apply_instances(instance_scores(instances))
    instances.keypoint_scores = calibration.apply_keypoints(keypoint_scores).astype(
        keypoint_scores.dtype
    )
