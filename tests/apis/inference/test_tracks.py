"""Smoothing uses the timestamps of frames, if they have some."""

import numpy as np
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from hrnet_plugin.apis.inference.tracks import TrackSmoother


def smoothed(times, fps=10.0) -> np.ndarray:
    smoother = TrackSmoother(np.full(3, 0.05), fps, smooth=True)
    rng = np.random.default_rng(0)
    points = []
    for i, time in enumerate(times):
        keypoints = np.array([[[20, 20], [50, 30], [40, 80]]], np.float32) + 2 * i
        sample = PoseDataSample()
        sample.pred_instances = InstanceData(
            keypoints=keypoints + rng.normal(size=keypoints.shape).astype(np.float32),
            keypoint_scores=np.ones((1, 3), np.float32),
            bboxes=np.array([[10, 10, 60, 90]], np.float32) + 2 * i,
        )
        smoother.update(sample, time)
        points.append(sample.pred_instances.keypoints[0])
    return np.stack(points)


def test_timestamps_replace_the_average_rate():
    even = smoothed([None] * 8)
    np.testing.assert_allclose(smoothed([i / 10 for i in range(8)]), even, atol=1e-4)
    uneven = smoothed([0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.7])
    assert np.abs(uneven - even).max() > 0.1
