"""OKS by hand and against pycocotools; suppression against MMPose."""

import numpy as np
import pytest
from mmpose.evaluation import functional as stock
from pycocotools.cocoeval import COCOeval

from hrnet_plugin.functional import COCO_SIGMAS, oks, oks_nms, soft_oks_nms


def test_value_by_hand():
    """Area 100, sigmas 0.1 and 0.2, so that 2 area (2 sigma)^2 is 8 and 32.

    The first keypoint is 2 off in x and 2 in y, d^2 = 8: exp(-8/8) = 0.36788. The second is 4 off,
    d^2 = 16: exp(-16/32) = 0.60653. The third is unlabelled. Mean: 0.48720.
    """
    gt = np.array([[[0, 0], [10, 0], [50, 50]]])
    pred = np.array([[[2, 2], [10, 4], [0, 0]]])
    value = oks(pred, gt, np.array([[2, 1, 0]]), np.array([100]), [0.1, 0.2, 0.1])
    np.testing.assert_allclose(value, [[0.487205]], atol=1e-6)


def test_person_without_keypoints_by_hand():
    """Only the distance from a box three times as wide and high counts, for all keypoints.

    The box (10, 10, 10, 20) reaches from (0, -10) to (30, 50) then. One keypoint is inside, the
    other 3 left and 4 above, d^2 = 25; 2 area (2 sigma)^2 = 2 * 312.5 * 0.04 = 25:
    (1 + exp(-1)) / 2 = 0.68394.
    """
    pred, gt = np.array([[[0, 50], [-3, -14]]]), np.zeros((1, 2, 2))
    arguments = pred, gt, np.zeros((1, 2)), np.array([312.5]), [0.1, 0.1]
    np.testing.assert_allclose(oks(*arguments, bbox=[[10, 10, 10, 20]]), [[0.68394]], atol=1e-6)
    assert oks(*arguments) == 0


def test_equals_pycocotools():
    rng = np.random.default_rng(0)
    pred, gt = rng.uniform(0, 100, (5, 17, 2)), rng.uniform(0, 100, (4, 17, 2))
    pred[:4] = gt + rng.normal(0, 5, gt.shape)
    visible = rng.integers(0, 3, (4, 17))
    visible[2] = 0
    area, bbox = rng.uniform(100, 5000, 4), rng.uniform(10, 50, (4, 4))

    theirs = COCOeval(iouType='keypoints')
    theirs._gts[1, 1] = [
        dict(keypoints=np.c_[gt[n], visible[n]].ravel(), bbox=bbox[n], area=area[n])
        for n in range(4)
    ]
    theirs._dts[1, 1] = [
        dict(keypoints=np.c_[pred[n], np.ones(17)].ravel(), score=-n) for n in range(5)
    ]
    expected = theirs.computeOks(1, 1)
    assert 0.1 < np.diag(expected).max() < 1
    ours = oks(pred, gt, visible, area, COCO_SIGMAS, bbox)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-15)


def test_area_of_zero_is_no_nan():
    gt = np.array([[[0.0, 0.0]], [[1.0, 0.0]]])
    np.testing.assert_array_equal(oks(gt, gt, np.ones((2, 1)), np.zeros(2), [0.1]), np.eye(2))


def test_nobody():
    nobody, one = np.zeros((0, 2, 2)), np.zeros((1, 2, 2))
    assert oks(nobody, one, np.ones((1, 2)), np.ones(1), [0.1, 0.1]).shape == (0, 1)
    assert oks(one, nobody, np.ones((0, 2)), np.ones(0), [0.1, 0.1]).shape == (1, 0)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(pred=np.zeros((1, 16, 2))), 'pred has 16 keypoints per person, but there are 17'),
        (dict(gt=np.zeros((1, 17, 3))), r'gt has shape \(1, 17, 3\); expected \(N, K, 2\)'),
        (dict(sigmas=[0.1] * 5), 'pred has 17 keypoints per person, but there are 5'),
        (dict(visible=np.ones((1, 16))), r'visible has shape \(1, 16\); expected \(1, 17\)'),
        (dict(area=np.ones(2)), r'area has shape \(2,\); expected \(1,\)'),
        (dict(bbox=np.ones(4)), r'bbox has shape \(4,\); expected \(1, 4\)'),
    ],
)
def test_refuses_shapes_that_do_not_fit(change, message):
    people = np.zeros((1, 17, 2))
    right = dict(pred=people, gt=people, visible=np.ones((1, 17)), area=np.ones(1))
    with pytest.raises(ValueError, match=message):
        oks(**{**right, 'sigmas': COCO_SIGMAS, **change})


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('threshold', [0.3, 0.9])
@pytest.mark.parametrize('name', ['oks_nms', 'soft_oks_nms'])
def test_nms_equals_mmpose(name, threshold, dtype):
    ours, theirs = dict(oks_nms=oks_nms, soft_oks_nms=soft_oks_nms)[name], getattr(stock, name)
    rng = np.random.default_rng(1)
    sigmas = np.array(COCO_SIGMAS, dtype)
    sizes = [1, 2, 5, 20, 60]
    dropped = 0
    for n in sizes:
        people = rng.uniform(0, 200, (max(1, n // 4), 17, 2))
        keypoints = people[rng.integers(0, len(people), n)] + rng.choice(
            [1, 5], (n, 1, 1)
        ) * rng.normal(size=(n, 17, 2))
        keypoints = keypoints.astype(dtype)
        scores = rng.choice([0.3, 0.6, *rng.random(n)], n).astype(dtype)  # some are equal
        areas = rng.uniform(1e3, 1e4, n).astype(dtype)
        instances = [
            dict(keypoints=np.c_[k, np.ones(17, dtype)], score=s, area=a)
            for k, s, a in zip(keypoints, scores, areas)
        ]
        expected = theirs(instances, threshold, sigmas=sigmas)
        kept = ours(keypoints, scores, areas, threshold, sigmas)
        np.testing.assert_array_equal(kept, expected)
        dropped += n - len(kept)
    assert dropped > 20
    nobody = np.zeros((0, 17, 2)), np.zeros(0), np.zeros(0)
    assert ours(*nobody, threshold, sigmas).tolist() == []


def test_nms_by_hand():
    """The second is the first again, 1 px off; the third is somebody else."""
    person = np.random.default_rng(0).uniform(0, 100, (17, 2))
    keypoints = np.stack([person, person + 1, person + 60])
    arguments = keypoints, np.array([0.5, 0.9, 0.7]), np.full(3, 5e3)
    assert oks_nms(*arguments, 0.9, COCO_SIGMAS).tolist() == [1, 2]
    # At a threshold of 1 nobody is dropped: nothing is more alike than 1.
    assert oks_nms(*arguments, 1.0, COCO_SIGMAS).tolist() == [1, 2, 0]
    same = keypoints[[0, 0]], np.array([0.5, 0.9]), np.full(2, 5e3)
    assert oks_nms(*same, 1.0, COCO_SIGMAS).tolist() == [1, 0]
    assert oks_nms(*same, 0.99, COCO_SIGMAS).tolist() == [1]
    assert soft_oks_nms(*arguments, 0.9, COCO_SIGMAS).tolist() == [1, 2, 0]
    assert soft_oks_nms(*arguments, 0.9, COCO_SIGMAS, max_dets=2).tolist() == [1, 2]


def test_nms_refuses_other_sigmas():
    with pytest.raises(ValueError, match='17 keypoints per person, but there are 16'):
        oks_nms(np.zeros((1, 17, 2)), np.ones(1), np.ones(1), 0.9, COCO_SIGMAS[:16])
