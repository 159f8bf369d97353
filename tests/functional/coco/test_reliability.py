"""Reliability of scores, by hand."""

import numpy as np
import pytest

from hrnet_plugin.functional import (
    instance_reliability,
    keypoint_reliability,
    reliability,
)
from hrnet_plugin.functional.coco.reliability import wilson_interval

SIGMAS = [0.1, 0.1]
# Two keypoints; a distance of 2 sigma sqrt(area) = 20 pixels is a similarity of exp(-1/2).
POINTS = [10.0, 20.0, 2, 50.0, 90.0, 2]


def scene(*detections, annotation=None):
    """One annotated instance in image 1, and detections of (image, shifts, scores, score)."""
    instance = dict(image_id=1, category_id=1, keypoints=POINTS, bbox=[0, 0, 100, 100], area=1e4)
    gt = dict(
        images=[dict(id=1), dict(id=2)],
        categories=[dict(id=1)],
        annotations=[{**instance, **(annotation or {})}],
    )
    dt = []
    for image, shifts, scores, score in detections:
        points = np.reshape(POINTS, (2, 3)).copy()
        points[:, 0] += shifts
        points[:, 2] = scores
        dt.append(
            dict(image_id=image, category_id=1, keypoints=points.ravel().tolist(), score=score)
        )
    return gt, dt


def test_bins_by_hand():
    """Half-open bins: a score of 0.5 is in the second of two, and so is 1."""
    result = reliability(
        np.array([0.1, 0.3, 0.5, 0.9, 1.0]), np.array([0, 1, 1, 1, 0]), num_bins=2
    )
    assert result.edges.tolist() == [0, 0.5, 1]
    assert result.count.tolist() == [2, 3]
    assert result.mean_score.tolist() == pytest.approx([0.2, 0.8])
    assert result.share_correct.tolist() == pytest.approx([0.5, 2 / 3])
    assert result.ece == pytest.approx((2 * 0.3 + 3 * (0.8 - 2 / 3)) / 5)
    assert (result.total, result.num_outside) == (5, 0)


def test_empty_bins_and_no_scores():
    result = reliability(np.array([0.95]), np.array([True]))
    assert result.count.tolist() == [0] * 9 + [1]
    assert np.isnan(result.mean_score[:9]).all()
    assert np.isnan(result.share_correct[:9]).all()
    assert (result.low[0], result.high[0]) == (0, 1)
    assert result.ece == pytest.approx(0.05)
    assert np.isnan(reliability(np.array([]), np.array([])).ece)


def test_wilson_interval_of_a_textbook():
    """15 of 20: 53.1 % to 88.8 % (A. Agresti, Categorical Data Analysis, score interval)."""
    low, high = wilson_interval(np.array([0.75, 1.0, 0.0]), np.array([20, 10, 10]))
    assert low.tolist() == pytest.approx([0.5313, 0.7225, 0], abs=1e-4)
    assert high.tolist() == pytest.approx([0.8881, 1, 0.2775], abs=1e-4)


def test_scores_beyond_0_and_1_keep_their_value():
    """A score of 1.4 claims more than is possible, which counts as error."""
    result = reliability(np.array([-0.2, 1.4]), np.array([0, 1]), num_bins=4)
    assert result.count.tolist() == [1, 0, 0, 1]
    assert result.num_outside == 2
    assert result.ece == pytest.approx((0.2 + 0.4) / 2)
    assert '2 scores are outside' in str(result)


def test_groups():
    scores, correct = np.array([0.2, 0.8, 0.8]), np.array([0, 1, 0])
    result = reliability(scores, correct, groups=np.array([3, 3, 5]))
    assert list(result.by_group) == [3, 5]
    assert result.by_group[3].ece == pytest.approx(0.2)
    assert result.by_group[5].ece == pytest.approx(0.8)
    assert result.ece == pytest.approx((0.2 + 2 * 0.3) / 3)


@pytest.mark.parametrize(
    ('scores', 'correct', 'more', 'message'),
    [
        ([0.1, 0.2], [1], {}, r'scores have shape \(2,\) and correct \(1,\)'),
        ([[0.1]], [[1]], {}, r'expected \(N,\)'),
        ([0.1, np.nan], [1, 0], {}, '1 scores are NaN or infinite, the first is score 1'),
        ([0.1], [1], dict(num_bins=0), 'num_bins must be at least 1, not 0'),
        ([0.1], [1], dict(groups=np.array([1, 2])), r'groups have shape \(2,\)'),
    ],
)
def test_bad_arguments(scores, correct, more, message):
    with pytest.raises(ValueError, match=message):
        reliability(np.array(scores), np.array(correct), **more)


def test_keypoints_by_hand():
    """The first keypoint in its place, the second 40 pixels off: a similarity of exp(-2)."""
    result = keypoint_reliability(*scene((1, [0, 40], [0.9, 0.7], 0.8)), sigmas=SIGMAS)
    assert (result.count[9], result.count[7]) == (1, 1)
    assert (result.share_correct[9], result.share_correct[7]) == (1, 0)
    assert result.ece == pytest.approx((0.1 + 0.7) / 2)
    assert list(result.by_group) == [0, 1]
    assert result.by_group[0].ece == pytest.approx(0.1)
    assert result.by_group[1].ece == pytest.approx(0.7)


def test_a_keypoint_is_right_above_the_similarity():
    data = scene((1, [0, 20], [0.9, 0.7], 0.8))  # similarities 1 and exp(-1/2) = 0.607
    right = [
        keypoint_reliability(*data, sigmas=SIGMAS, similarity=s).share_correct[7]
        for s in (0.6, 0.61)
    ]
    assert right == [1, 0]


def test_unlabelled_keypoints_do_not_count():
    data = scene((1, [0, 40], [0.9, 0.7], 0.8), annotation=dict(keypoints=[*POINTS[:5], 0]))
    result = keypoint_reliability(*data, sigmas=SIGMAS)
    assert result.total == 1
    assert result.by_group[1].total == 0


def test_unmatched_detections_are_wrong_or_left_out():
    data = scene((1, 0, 0.9, 0.8), (2, 0, 0.6, 0.3), (1, 1000, 0.4, 0.2))
    wrong = keypoint_reliability(*data, sigmas=SIGMAS)
    assert (wrong.total, wrong.share_correct[9], wrong.share_correct[6]) == (6, 1, 0)
    assert wrong.share_correct[4] == 0
    skipped = keypoint_reliability(*data, sigmas=SIGMAS, unmatched='skip')
    assert (skipped.total, skipped.share_correct[9]) == (2, 1)


def test_matches_need_an_oks_of_a_tenth_only():
    """Of two keypoints one is right: OKS 0.5; and with both 40 pixels off, exp(-2) = 0.135."""
    result = keypoint_reliability(*scene((1, 40, 0.9, 0.8)), sigmas=SIGMAS, unmatched='skip')
    assert (result.total, result.share_correct[9]) == (2, 0)
    result = keypoint_reliability(*scene((1, 44, 0.9, 0.8)), sigmas=SIGMAS, unmatched='skip')
    assert result.total == 0  # exp(-2.42) = 0.089


def test_detections_of_ignored_instances_count_nowhere():
    for ignored in (dict(iscrowd=1), dict(keypoints=[0] * 6)):
        data = scene((1, 0, 0.9, 0.8), (2, 0, 0.6, 0.3), annotation=ignored)
        assert keypoint_reliability(*data, sigmas=SIGMAS).total == 2
        assert instance_reliability(*data, sigmas=SIGMAS).total == 1


def test_instances_by_hand():
    """A second detection of the same instance is wrong, as in COCO's evaluation."""
    data = scene((1, 0, 1, 0.95), (1, 0, 1, 0.55), (2, 0, 1, 0.15))
    result = instance_reliability(*data, sigmas=SIGMAS)
    assert result.count[[1, 5, 9]].tolist() == [1, 1, 1]
    assert result.share_correct[[1, 5, 9]].tolist() == [0, 0, 1]
    assert result.ece == pytest.approx((0.05 + 0.55 + 0.15) / 3)
    assert instance_reliability(*data, sigmas=SIGMAS, max_dets=1).total == 2


def test_instances_at_an_oks():
    data = scene((1, [0, 20], 1, 0.95))  # an OKS of (1 + exp(-1/2)) / 2 = 0.803
    right = [
        instance_reliability(*data, sigmas=SIGMAS, oks=o).share_correct[9] for o in (0.8, 0.81)
    ]
    assert right == [1, 0]


def test_use_area():
    """Instead of 10,000 square pixels 53 of the box: the similarity falls."""
    data = scene((1, [0, 12], 0.9, 0.8), annotation=dict(bbox=[0, 0, 50, 50]))
    with_area = keypoint_reliability(*data, sigmas=SIGMAS)
    assert with_area.share_correct[9] == 1
    assert keypoint_reliability(*data, sigmas=SIGMAS, use_area=False).share_correct[9] == 0.5


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(similarity=1), 'similarity must be from 0 to below 1, not 1'),
        (dict(unmatched='right'), "unmatched='right'; expected 'wrong' or 'skip'"),
    ],
)
def test_events_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        keypoint_reliability(*scene((1, 0, 1, 1)), sigmas=SIGMAS, **options)
    with pytest.raises(ValueError, match='oks must be above 0 and at most 1, not 0'):
        instance_reliability(*scene((1, 0, 1, 1)), sigmas=SIGMAS, oks=0)


def test_the_table():
    result = reliability(np.array([0.75, 0.75]), np.array([0, 1]))
    lines = str(result).splitlines()
    assert lines[1].split() == ['0.70-0.80', '2', '0.750', '50.0%', '9.5%', 'to', '90.5%']
    assert lines[-1] == 'expected calibration error 0.2500 over 2 scores'
