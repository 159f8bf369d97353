"""Scores of instances by hand; tests/evaluation compares with MMPose."""

import numpy as np
import pytest

from hrnet_plugin.functional.coco.scoring import SCORE_MODES, score_instances

BOXES = np.array([0.5, 0.8])
KEYPOINTS = np.array([[0.9, 0.7, 0.2], [0.1, 0.0, 0.1]])


@pytest.mark.parametrize(
    ('mode', 'expected'),
    [
        ('bbox', [0.5, 0.8]),
        ('keypoint', [0.6, 0.2 / 3]),
        ('bbox_keypoint', [0.5 * 0.8, 0]),  # 0.2 is not above the threshold of 0.2
        ('bbox_rle', [0.5 + 0.6 + 0.9, 0.8 + 0.2 / 3 + 0.1]),
    ],
)
def test_by_hand(mode, expected):
    np.testing.assert_allclose(score_instances(mode, BOXES, KEYPOINTS), expected)


def test_threshold():
    scores = score_instances('bbox_keypoint', BOXES, KEYPOINTS, threshold=0.75)
    np.testing.assert_allclose(scores, [0.5 * 0.9, 0])
    assert list(SCORE_MODES) == ['bbox', 'bbox_keypoint', 'bbox_rle', 'keypoint']
