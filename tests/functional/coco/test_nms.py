"""OKS-NMS by hand and against MMPose, image by image and at once."""

import numpy as np
import pytest
from mmpose.evaluation import functional as stock

from hrnet_plugin.functional import COCO_SIGMAS, oks_nms, soft_oks_nms

OURS = dict(oks_nms=oks_nms, soft_oks_nms=soft_oks_nms)


def make_instances(rng, count, dtype=np.float64):
    """Return keypoints, scores and areas; poses repeat with noise, and some scores are equal."""
    poses = rng.uniform(0, 200, (max(1, count // 4), 17, 2))
    noise = rng.choice([1, 5], (count, 1, 1)) * rng.normal(size=(count, 17, 2))
    keypoints = poses[rng.integers(0, len(poses), count)] + noise
    scores = rng.choice([0.3, 0.6, *rng.random(count)], count)
    areas = rng.uniform(1e3, 1e4, count)
    return keypoints.astype(dtype), scores.astype(dtype), areas.astype(dtype)


def stock_nms(name, keypoints, scores, areas, threshold, sigmas):
    instances = [
        dict(keypoints=np.c_[k, np.ones(len(k), k.dtype)], score=s, area=a)
        for k, s, a in zip(keypoints, scores, areas)
    ]
    return np.array(getattr(stock, name)(instances, threshold, sigmas=sigmas), int)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('threshold', [0.1, 0.6, 0.9])
@pytest.mark.parametrize('name', OURS)
def test_equals_mmpose(name, threshold, dtype):
    rng = np.random.default_rng(1)
    sigmas = np.array(COCO_SIGMAS, dtype)
    dropped = 0
    for count in [1, 2, 5, 20, 60]:
        instances = make_instances(rng, count, dtype)
        kept = OURS[name](*instances, threshold, sigmas)
        np.testing.assert_array_equal(kept, stock_nms(name, *instances, threshold, sigmas))
        dropped += count - len(kept)
    assert dropped > 20
    none = np.zeros((0, 17, 2)), np.zeros(0), np.zeros(0)
    assert OURS[name](*none, threshold, sigmas).tolist() == []


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('name', OURS)
def test_many_images_at_once_equal_one_by_one(name, dtype):
    """Images of many sizes, their instances mixed; ids of ten digits, or strings."""
    rng = np.random.default_rng(2)
    sigmas = np.array(COCO_SIGMAS, dtype)
    sizes = rng.choice([1, 2, 3, 3, 7, 30, 30], 60)
    number = rng.permutation(np.repeat(np.arange(60), sizes))
    keypoints, scores, areas = make_instances(rng, len(number), dtype)
    expected = []
    for image in range(60):
        rows = np.flatnonzero(number == image)
        instances = keypoints[rows], scores[rows], areas[rows]
        expected.extend(rows[stock_nms(name, *instances, 0.5, sigmas)])
    assert 100 < len(expected) < len(number)
    for images in (number, number + 9_000_000_000, np.char.zfill(number.astype(str), 12)):
        kept = OURS[name](keypoints, scores, areas, 0.5, sigmas, images=images)
        np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize('count', [1, 3, 5])
def test_few_keypoints(count):
    """The prefilter by some of the keypoints must not decide for all."""
    rng = np.random.default_rng(count)
    sigmas = np.full(count, 0.1)
    decided = set()
    for threshold in (0.05, 0.3, 0.7):
        keypoints, *others = make_instances(rng, 40)
        instances = keypoints[:, :count], *others
        kept = oks_nms(*instances, threshold, sigmas)
        np.testing.assert_array_equal(kept, stock_nms('oks_nms', *instances, threshold, sigmas))
        decided.add(len(kept))
    assert len(decided) > 1


def test_by_hand():
    """The second is the first again, 1 px off; the third is another person."""
    person = np.random.default_rng(0).uniform(0, 100, (17, 2))
    keypoints = np.stack([person, person + 1, person + 60])
    arguments = keypoints, np.array([0.5, 0.9, 0.7]), np.full(3, 5e3)
    assert oks_nms(*arguments, 0.9, COCO_SIGMAS).tolist() == [1, 2]
    # At a threshold of 1 none is dropped: no OKS is above 1.
    assert oks_nms(*arguments, 1.0, COCO_SIGMAS).tolist() == [1, 2, 0]
    same = keypoints[[0, 0]], np.array([0.5, 0.9]), np.full(2, 5e3)
    assert oks_nms(*same, 1.0, COCO_SIGMAS).tolist() == [1, 0]
    assert oks_nms(*same, 0.99, COCO_SIGMAS).tolist() == [1]
    assert soft_oks_nms(*arguments, 0.9, COCO_SIGMAS).tolist() == [1, 2, 0]
    assert soft_oks_nms(*arguments, 0.9, COCO_SIGMAS, max_dets=2).tolist() == [1, 2]
    # An instance alone in its image is not compared.
    apart = oks_nms(*arguments, 0.9, COCO_SIGMAS, images=np.array([7, 3, 7]))
    assert apart.tolist() == [1, 2, 0]
    firsts = soft_oks_nms(*arguments, 0.9, COCO_SIGMAS, max_dets=1, images=np.array([7, 3, 7]))
    assert firsts.tolist() == [1, 2]


@pytest.mark.parametrize('nms', OURS.values())
def test_refuses(nms):
    with pytest.raises(ValueError, match='17 keypoints per instance, but there are 16'):
        nms(np.zeros((1, 17, 2)), np.ones(1), np.ones(1), 0.9, COCO_SIGMAS[:16])
    with pytest.raises(ValueError, match='2 images for 1 instances'):
        nms(np.zeros((1, 17, 2)), np.ones(1), np.ones(1), 0.9, COCO_SIGMAS, images=np.ones(2))
