"""Tracking: scenes with known identities."""

import numpy as np
import pytest

from hrnet_plugin.functional import COCO_SIGMAS, Tracker
from hrnet_plugin.functional.video.tracking import iou, match

# A person 60 pixels wide and 160 high, around 0
BODY = np.random.default_rng(0).uniform([-30, -80], [30, 80], (17, 2))


def people(*places, seed=0):
    """Keypoints, scores and boxes of people around these points, with some noise."""
    rng = np.random.default_rng(seed)
    keypoints = np.array([BODY + place for place in places]).reshape(-1, 17, 2)
    keypoints = keypoints + rng.normal(0, 0.5, keypoints.shape)
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    return keypoints, np.ones(keypoints.shape[:2]), boxes


@pytest.fixture
def tracker():
    return Tracker(COCO_SIGMAS)


def test_numbers_do_not_depend_on_the_order(tracker):
    assert tracker.update(*people((0, 0), (300, 0))).tolist() == [1, 2]
    assert tracker.update(*people((302, 0), (2, 0), seed=1)).tolist() == [2, 1]
    assert tracker.update(*people((4, 0), (600, 0), (304, 0), seed=2)).tolist() == [1, 3, 2]


def test_people_who_cross_keep_their_numbers(tracker):
    for frame in range(41):  # at frame 20, both are at 100
        left, right = (5 * frame, 0), (200 - 5 * frame, 3)
        numbers = tracker.update(*people(left, right, seed=frame))
        assert numbers.tolist() == [1, 2], frame


def test_tracks_continue_up_to_max_age(tracker):
    tracker.update(*people((0, 0)))
    for _ in range(tracker.max_age - 1):
        assert tracker.update(*people()).shape == (0,)
    assert tracker.update(*people((1, 0))).tolist() == [1]
    for _ in range(tracker.max_age):
        tracker.update(*people())
    assert tracker.update(*people((1, 0))).tolist() == [2]


def test_tracks_move_on_while_not_seen(tracker):
    for frame in range(10):
        tracker.update(*people((8 * frame, 0), seed=frame))
    for _ in range(10, 20):
        tracker.update(*people())
    assert tracker.update(*people((160, 0), (0, 0))).tolist() == [1, 2]


def test_boxes_match_when_the_pose_has_changed(tracker):
    keypoints, scores, boxes = people((0, 0))
    tracker.update(keypoints, scores, boxes)
    assert tracker.update(keypoints[:, ::-1], scores, boxes).tolist() == [1]


def test_keypoints_of_low_score_do_not_count(tracker):
    keypoints, scores, boxes = people((0, 0))
    scores[:, :14] = 0.1
    tracker.update(keypoints, scores, boxes)
    keypoints[:, :14] += 500
    assert tracker.update(keypoints, scores, boxes + 1000).tolist() == [1]


def test_frames_without_instances(tracker):
    assert tracker.update(*people()).tolist() == []
    assert tracker.update(*people((0, 0))).tolist() == [1]


def test_match_takes_the_most_similar_first():
    similarity = np.array([[0.9, 0.8, 0.0], [0.85, 0.2, 0.1]])
    assert match(similarity, 0.15) == [(0, 0), (1, 1)]
    assert match(similarity, 0.5) == [(0, 0)]


def test_iou_by_hand():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 5, 5]], float)
    expected = [[1, 1 / 7, 0], [1 / 7, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(iou(boxes, boxes), expected)


def test_patience_is_the_former_name_of_max_age():
    message = 'patience of Tracker is now max_age'
    with pytest.warns(DeprecationWarning, match=message) as warned:
        tracker = Tracker(COCO_SIGMAS, patience=4)
    with pytest.warns(DeprecationWarning, match=message) as warned_again:
        assert tracker.patience == 4
    assert tracker.max_age == 4
    assert [w.filename for w in (*warned, *warned_again)] == [__file__] * 2
