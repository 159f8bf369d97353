"""OKS by hand and against pycocotools; sigmas of annotations made with known sigmas."""

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from hrnet_plugin.functional import COCO_SIGMAS, estimate_sigmas, keypoint_similarity, oks


def test_value_by_hand():
    """Area 100, sigmas 0.1 and 0.2, so that 2 area (2 sigma)^2 is 8 and 32.

    The first keypoint is 2 off in x and 2 in y, d^2 = 8: exp(-8/8) = 0.36788. The second is 4 off,
    d^2 = 16: exp(-16/32) = 0.60653. The third is unlabelled. Mean: 0.48720.
    """
    gt = np.array([[[0, 0], [10, 0], [50, 50]]])
    pred = np.array([[[2, 2], [10, 4], [0, 0]]])
    value = oks(pred, gt, np.array([[2, 1, 0]]), np.array([100]), [0.1, 0.2, 0.1])
    np.testing.assert_allclose(value, [[0.487205]], atol=1e-6)
    terms = keypoint_similarity(pred, gt, np.array([100]), [0.1, 0.2, 0.1])
    np.testing.assert_allclose(terms[0, :2], [0.36788, 0.60653], atol=1e-5)


def test_instance_without_keypoints_by_hand():
    """Only the distance from a box three times as wide and high counts, for all keypoints.

    The box (10, 10, 10, 20) reaches from (0, -10) to (30, 50) then. One keypoint is inside, the
    other 3 left and 4 above, d^2 = 25; 2 area (2 sigma)^2 = 2 * 312.5 * 0.04 = 25:
    (1 + exp(-1)) / 2 = 0.68394.
    """
    pred, gt = np.array([[[0, 50], [-3, -14]]]), np.zeros((1, 2, 2))
    arguments = pred, gt, np.zeros((1, 2)), np.array([312.5]), [0.1, 0.1]
    np.testing.assert_allclose(oks(*arguments, bbox=[[10, 10, 10, 20]]), [[0.68394]], atol=1e-6)
    assert oks(*arguments) == 0


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('count', [1, 7, 8, 17, 133])
def test_equals_pycocotools_to_the_last_bit(count, dtype):
    """Sums of any length: NumPy adds 7 numbers one by one, more by eights, many by halves."""
    rng = np.random.default_rng(count)
    pred, gt = rng.uniform(0, 100, (5, count, 2)), rng.uniform(0, 100, (6, count, 2))
    pred[:4] = gt[:4] + rng.normal(0, 5, gt[:4].shape)
    visible = rng.integers(0, 3, (6, count))
    visible[:, 0], visible[2], visible[3] = 1, 0, 2
    area, bbox = rng.uniform(100, 5000, 6), rng.uniform(10, 50, (6, 4))
    sigmas = rng.uniform(0.02, 0.1, count).astype(dtype)

    theirs = COCOeval(iouType='keypoints')
    theirs.params.kpt_oks_sigmas = sigmas
    theirs._gts[1, 1] = [
        dict(keypoints=np.c_[gt[n], visible[n]].ravel(), bbox=bbox[n], area=area[n])
        for n in range(6)
    ]
    theirs._dts[1, 1] = [
        dict(keypoints=np.c_[pred[n], np.ones(count)].ravel(), score=-n) for n in range(5)
    ]
    expected = theirs.computeOks(1, 1)
    assert 0.1 < np.diag(expected).max() <= 1
    np.testing.assert_array_equal(oks(pred, gt, visible, area, sigmas, bbox), expected)


def test_area_of_zero_is_no_nan():
    gt = np.array([[[0.0, 0.0]], [[1.0, 0.0]]])
    np.testing.assert_array_equal(oks(gt, gt, np.ones((2, 1)), np.zeros(2), [0.1]), np.eye(2))


def test_no_instances():
    none, one = np.zeros((0, 2, 2)), np.zeros((1, 2, 2))
    assert oks(none, one, np.ones((1, 2)), np.ones(1), [0.1, 0.1]).shape == (0, 1)
    assert oks(one, none, np.ones((0, 2)), np.ones(0), [0.1, 0.1]).shape == (1, 0)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(pred=np.zeros((1, 16, 2))), 'pred has 16 keypoints per instance, but there are 17'),
        (dict(gt=np.zeros((1, 17, 3))), r'gt has shape \(1, 17, 3\); expected \(N, K, 2\)'),
        (dict(sigmas=[0.1] * 5), 'pred has 17 keypoints per instance, but there are 5'),
        (dict(visible=np.ones((1, 16))), r'visible has shape \(1, 16\); expected \(1, 17\)'),
        (dict(area=np.ones(2)), r'area has shape \(2,\); expected \(1,\)'),
        (dict(bbox=np.ones(4)), r'bbox has shape \(4,\); expected \(1, 4\)'),
    ],
)
def test_refuses_shapes_that_do_not_fit(change, message):
    keypoints = np.zeros((1, 17, 2))
    right = dict(pred=keypoints, gt=keypoints, visible=np.ones((1, 17)), area=np.ones(1))
    with pytest.raises(ValueError, match=message):
        oks(**{**right, 'sigmas': COCO_SIGMAS, **change})


class TestEstimateSigmas:
    """Promise 6: a helper estimates sigmas from repeated annotations."""

    def test_by_hand(self):
        """Two annotators, 6 px apart: each 3 from the mean, s^2 = (9 + 9) / 1; sigma^2 = 18 / 450.

        The other area is twice as large, and so is the squared distance, 72 / 2 = 36.
        """
        first = np.array([[[0.0, 0.0]], [[5.0, 5.0]]])
        second = first + np.array([[[6.0, 0.0]], [[0.0, np.sqrt(72)]]])
        sigmas = estimate_sigmas(np.stack([first, second]), np.array([450.0, 900.0]))
        np.testing.assert_allclose(sigmas, [np.sqrt(18 / 450)])

    @pytest.mark.parametrize('annotators', [2, 3])
    def test_recovers_the_sigmas_of_annotations(self, annotators):
        """A keypoint is sigma * sqrt(area) off, which is sigma * sqrt(area / 2) in x and in y."""
        rng = np.random.default_rng(0)
        area = rng.uniform(1e3, 1e5, 4000)
        truth = rng.uniform(0, 500, (4000, 17, 2))
        spread = np.array(COCO_SIGMAS)[:, None] * np.sqrt(area / 2)[:, None, None]
        points = truth + spread * rng.normal(size=(annotators, 4000, 17, 2))
        np.testing.assert_allclose(estimate_sigmas(points, area), COCO_SIGMAS, rtol=0.05)

        labelled = rng.random((annotators, 4000, 17)) < 0.8
        points[~labelled] = np.nan
        sigmas = estimate_sigmas(points, area, labelled)
        np.testing.assert_allclose(sigmas, COCO_SIGMAS, rtol=0.05)

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            (dict(keypoints=np.zeros((4, 3, 2))), r'shape \(4, 3, 2\) and areas \(4,\)'),
            (dict(area=np.ones(3)), r'areas \(3,\)'),
            (
                dict(area=np.array([1, 2, 0, 3])),
                'area of instance 2 is 0.0; expected a number above 0',
            ),
            (dict(visible=np.ones((2, 4))), r'visible has shape \(2, 4\); expected \(2, 4, 3\)'),
            (
                dict(visible=np.ones((2, 4, 3)) * [1, 0, 1]),
                'keypoint 1 is labelled by two annotators in no instance',
            ),
            (
                dict(keypoints=np.zeros((1, 4, 3, 2))),
                'keypoint 0 is labelled by two annotators in no instance',
            ),
        ],
    )
    def test_refuses(self, change, message):
        with pytest.raises(ValueError, match=message):
            estimate_sigmas(**dict(keypoints=np.zeros((2, 4, 3, 2)), area=np.ones(4)) | change)
