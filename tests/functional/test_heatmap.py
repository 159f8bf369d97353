"""Heatmaps by hand, and what tensors add; tests/codecs compares with MMPose."""

import numpy as np
import pytest
import torch

from hrnet_plugin.functional import decode_msra, encode_msra, heatmap_peaks


def test_target_by_hand():
    """(5.6, 2.4) rounds to pixel (6, 2); with sigma 1 the square is 7 wide: columns 3 to 9."""
    maps, weights = encode_msra(np.array([[[5.6, 2.4]]]), np.ones((1, 1)), (12, 8), 1)
    assert maps.shape == (1, 1, 8, 12)
    assert weights.tolist() == [[1]]
    expected = np.exp([-4.5, -2, -0.5, 0, -0.5, -2, -4.5])
    np.testing.assert_allclose(maps[0, 0, 2], [0, 0, 0, *expected, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(maps[0, 0, 4, 6], np.exp(-2), rtol=1e-6)
    np.testing.assert_array_equal(maps[0, 0, 6:], 0)


def test_centre_is_truncated_towards_zero():
    """-0.9 + 0.5 = -0.4 becomes 0; rounding down would give -1."""
    maps, _ = encode_msra(np.array([[[-0.9, 3.0]]]), np.ones((1, 1)), (12, 8), 1)
    assert np.unravel_index(maps[0, 0].argmax(), (8, 12)) == (3, 0)
    assert maps.max() == 1


@pytest.mark.parametrize(
    ('x', 'weight', 'drawn'),
    [
        (14.4, 1, True),  # centre 14, square 11 to 17: column 11 is inside
        (14.5, 0, False),  # centre 15, square from 12: outside
        (-3.9, 1, True),  # centre -3, square up to 0
        (-4.5, 1, False),  # centre -4, square up to -1: outside, but counted as in MMPose
        (-5.5, 0, False),
        (np.nan, 0, False),
        (np.inf, 0, False),
        (-np.inf, 0, False),
    ],
)
def test_weight_outside(x, weight, drawn):
    maps, weights = encode_msra(np.array([[[x, 3.0]]]), np.ones((1, 1)), (12, 8), 1)
    assert weights.tolist() == [[weight]]
    assert np.isfinite(maps).all()
    assert (maps.max() > 0) == drawn


def test_invisible_keypoints_are_not_drawn():
    visible = np.array([[0.0, 0.4, 0.5, 2.0]])
    maps, weights = encode_msra(np.full((1, 4, 2), 5.0), visible, (12, 8), 1)
    np.testing.assert_array_equal(weights, visible)
    np.testing.assert_array_equal(maps.max(axis=(2, 3)), [[0, 0, 1, 1]])


def test_quarter_pixel_by_hand():
    heatmap = np.zeros((7, 9), np.float32)
    heatmap[3, 4], heatmap[3, 5], heatmap[2, 4] = 1, 0.5, 0.25  # higher to the right and above
    keypoints, scores = decode_msra(heatmap[None, None])
    assert keypoints.tolist() == [[[4.25, 2.75]]]
    assert scores.tolist() == [[1]]


def test_peak_of_nothing_is_minus_one():
    maps = np.stack([np.zeros((4, 5)), np.full((4, 5), -1), np.full((4, 5), 2)])
    peaks, scores = heatmap_peaks(maps.astype(np.float32))
    assert peaks.tolist() == [[-1, -1], [-1, -1], [0, 0]]
    assert scores.tolist() == [0, -1, 2]


def test_people_are_independent():
    generator = torch.Generator().manual_seed(0)
    keypoints = 60 * torch.rand((5, 3, 2), generator=generator) - 5
    visible = (torch.rand((5, 3), generator=generator) > 0.3).float()
    maps, weights = encode_msra(keypoints, visible, (48, 64), 2)
    points, scores = decode_msra(maps)
    for n in range(5):
        one = slice(n, n + 1)
        alone, weight = encode_msra(keypoints[one], visible[one], (48, 64), 2)
        assert torch.equal(alone, maps[one])
        assert torch.equal(weight, weights[one])
        found, score = decode_msra(alone)
        assert torch.equal(found, points[one])
        assert torch.equal(score, scores[one])


def test_round_trip_is_off_by_half_a_pixel_at_most():
    generator = torch.Generator().manual_seed(0)
    keypoints = 4 + 40 * torch.rand((8, 17, 2), generator=generator)
    maps, _ = encode_msra(keypoints, torch.ones(8, 17), (48, 64), 2)
    points, scores = decode_msra(maps)
    # Around a whole pixel the neighbours are equal, and nothing is shifted.
    assert (points - keypoints).abs().max() <= 0.5
    assert torch.equal(scores, torch.ones(8, 17))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    maps = torch.rand((2, 3, 16, 12), generator=torch.Generator().manual_seed(0)).to(dtype)
    points, scores = decode_msra(maps)
    expected, values = decode_msra(maps.double())
    assert points.dtype == torch.float32
    assert scores.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(points, expected)
    assert torch.equal(scores.double(), values)


def test_numpy_in_numpy_out_and_input_unchanged():
    keypoints = np.array([[[3.0, 4.0], [7.0, 2.0]]], np.float32)
    keypoints.flags.writeable = False
    visible = np.ones((1, 2), np.float32)
    maps, weights = encode_msra(keypoints, visible, (12, 8), 1)
    tensors = encode_msra(torch.tensor(keypoints), torch.tensor(visible), (12, 8), 1)
    assert [type(v) for v in (maps, weights)] == [np.ndarray] * 2
    np.testing.assert_array_equal(maps, tensors[0])
    before = maps.copy()
    flipped = decode_msra(maps[..., ::-1])  # an array that torch cannot share
    assert isinstance(flipped[0], np.ndarray)
    np.testing.assert_array_equal(flipped[0][..., 0], 11 - keypoints[..., 0])
    np.testing.assert_array_equal(maps, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_same_on_the_device():
    generator = torch.Generator().manual_seed(0)
    keypoints = 60 * torch.rand((5, 17, 2), generator=generator) - 5
    maps, weights = encode_msra(keypoints, torch.ones(5, 17), (48, 64), 2)
    on_device = encode_msra(keypoints.cuda(), torch.ones(5, 17).cuda(), (48, 64), 2)
    assert on_device[0].is_cuda
    torch.testing.assert_close(on_device[0].cpu(), maps, rtol=0, atol=1e-6)
    torch.testing.assert_close(on_device[1].cpu(), weights)
    for ours, theirs in zip(decode_msra(maps.cuda()), decode_msra(maps)):
        assert torch.equal(ours.cpu(), theirs)
