"""Encoding by hand, and what tensors add; tests/codecs compares with MMPose."""

import numpy as np
import pytest
import torch
from support.gpu import needs_gpu, waiting_for_the_gpu_fails

from hrnet_plugin.functional import encode_dark, encode_msra, encode_udp

ENCODERS = dict(msra=encode_msra, dark=encode_dark, udp=encode_udp)
every_encoder = pytest.mark.parametrize('encode', ENCODERS.values(), ids=ENCODERS)


def encode_one(encode, x, y, size=(12, 8), sigma=1.0):
    """The heatmap of one keypoint, and its weight."""
    maps, weights = encode(np.array([[[x, y]]]), np.ones((1, 1)), size, sigma)
    assert maps.shape == (1, 1, *size[::-1])
    assert maps.dtype == np.float32
    return maps[0, 0], weights.item()


def instances(seed=0):
    """Keypoints (5, 3, 2), some of them outside of (48, 64), and visibility (5, 3)."""
    generator = torch.Generator().manual_seed(seed)
    keypoints = 60 * torch.rand((5, 3, 2), generator=generator) - 5
    return keypoints, (torch.rand((5, 3), generator=generator) > 0.3).float()


def test_msra_by_hand():
    """(5.6, 2.4) rounds to pixel (6, 2); with sigma 1 the square is 7 wide: columns 3 to 9."""
    heatmap, weight = encode_one(encode_msra, 5.6, 2.4)
    assert weight == 1
    expected = np.exp([-4.5, -2, -0.5, 0, -0.5, -2, -4.5])
    np.testing.assert_allclose(heatmap[2], [0, 0, 0, *expected, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(heatmap[4, 6], np.exp(-2), rtol=1e-6)
    np.testing.assert_array_equal(heatmap[6:], 0)


def test_udp_by_hand():
    """The same square; the Gaussian in it is around (5.6, 2.4) itself."""
    heatmap, weight = encode_one(encode_udp, 5.6, 2.4)
    assert weight == 1
    row = np.exp(-((np.arange(3, 10) - 5.6) ** 2) / 2) * np.exp(-(0.4**2) / 2)
    np.testing.assert_allclose(heatmap[2], [0, 0, 0, *row, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(heatmap[6:], 0)


def test_dark_by_hand():
    """No square: the Gaussian around (5.6, 2.4) is everywhere."""
    heatmap, weight = encode_one(encode_dark, 5.6, 2.4)
    assert weight == 1
    y, x = np.mgrid[:8, :12]
    expected = np.exp(-((x - 5.6) ** 2 + (y - 2.4) ** 2) / 2)
    np.testing.assert_allclose(heatmap, expected, rtol=1e-5)
    assert heatmap.min() > 0


@pytest.mark.parametrize('encode', [encode_msra, encode_udp])
def test_square_is_around_the_pixel_towards_zero(encode):
    """-0.9 + 0.5 = -0.4 becomes 0, with columns 0 to 3; rounding down would leave 0 to 2."""
    heatmap, _ = encode_one(encode, -0.9, 3.0)
    np.testing.assert_array_equal(np.flatnonzero(heatmap[3]), [0, 1, 2, 3])


@pytest.mark.parametrize('encode', [encode_msra, encode_udp])
@pytest.mark.parametrize(
    ('x', 'weight', 'shows'),
    [
        (14.4, 1, True),  # centre 14, square 11 to 17: column 11 is inside
        (14.5, 0, False),  # centre 15, square from 12: outside
        (-3.9, 1, True),  # centre -3, square up to 0
        (-4.5, 1, False),  # centre -4, square up to -1: outside, but counted as in MMPose
        (-5.5, 0, False),
    ],
)
def test_weight_outside(encode, x, weight, shows):
    heatmap, given = encode_one(encode, x, 3.0)
    assert given == weight
    assert (heatmap.max() > 0) == shows


@pytest.mark.parametrize(
    ('x', 'y', 'weight'),
    [(14.9, 3, 1), (15, 3, 0), (-4, 3, 1), (-4.1, 3, 0), (5, 10.9, 1), (5, 11, 0), (5, -4.1, 0)],
)
def test_dark_counts_up_to_three_sigma_outside(x, y, weight):
    """From -3 sigma - 1 (in MMPose's convention) to below size + 3 sigma."""
    heatmap, given = encode_one(encode_dark, x, y)
    assert given == weight
    assert (heatmap.max() > 0) == weight


@every_encoder
@pytest.mark.parametrize('x', [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_nowhere_is_not_encoded(encode, x):
    heatmap, weight = encode_one(encode, x, 3.0)
    assert weight == 0
    np.testing.assert_array_equal(heatmap, 0)


@every_encoder
def test_invisible_keypoints_are_not_encoded(encode):
    visible = np.array([[0.0, 0.4, 0.5, 2.0]])
    maps, weights = encode(np.full((1, 4, 2), 5.0), visible, (12, 8), 1)
    np.testing.assert_array_equal(weights, visible)
    np.testing.assert_array_equal(maps.max(axis=(2, 3)), [[0, 0, 1, 1]])


@every_encoder
def test_instances_are_independent(encode):
    keypoints, visible = instances()
    maps, weights = encode(keypoints, visible, (48, 64), 2)
    for n in range(5):
        one = slice(n, n + 1)
        alone, weight = encode(keypoints[one], visible[one], (48, 64), 2)
        assert torch.equal(alone, maps[one])
        assert torch.equal(weight, weights[one])


@every_encoder
@pytest.mark.parametrize('shape', [(3,), (5, 1), (5, 3), (1, 3)])
def test_sigma_of_each_keypoint_or_instance(encode, shape):
    keypoints, visible = instances()
    sigma = 1 + torch.arange(np.prod(shape)).reshape(shape) * 0.3
    maps, weights = encode(keypoints, visible, (48, 64), sigma)
    for n, k in np.ndindex(5, 3):
        one = (slice(n, n + 1), slice(k, k + 1))
        alone, weight = encode(
            keypoints[one], visible[one], (48, 64), sigma.expand(5, 3)[n, k].item()
        )
        torch.testing.assert_close(alone, maps[one], rtol=0, atol=1e-6)
        assert torch.equal(weight, weights[one])


@every_encoder
@pytest.mark.parametrize('shape', [(5,), (2, 3), (1, 5, 3), (0,)])
def test_refuses_other_sigmas(encode, shape):
    keypoints, visible = instances()
    with pytest.raises(ValueError, match=r'sigma has shape .* \(N, K\) = \(5, 3\)'):
        encode(keypoints, visible, (48, 64), torch.ones(shape))


@every_encoder
def test_refuses_other_visibilities(encode):
    with pytest.raises(ValueError, match=r'visible has shape \(3,\); expected \(5, 3\)'):
        encode(instances()[0], torch.ones(3), (48, 64), 2)


@every_encoder
def test_refuses_visibilities_on_another_device(encode):
    with pytest.raises(ValueError, match='visible is on meta, but keypoints are on cpu'):
        encode(instances()[0], instances()[1].to('meta'), (48, 64), 2)


@every_encoder
def test_no_gradient_is_kept(encode):
    keypoints, visible = instances()
    assert not encode(keypoints.requires_grad_(), visible, (48, 64), 2)[0].requires_grad


@every_encoder
def test_numpys_numbers(encode):
    keypoints, visible = instances()
    maps, _ = encode(keypoints, visible, (48, 64), 2)
    for size, sigma in (((np.int64(48), np.int32(64)), np.float64(2)), ((48, 64), np.float32(2))):
        assert torch.equal(encode(keypoints, visible, size, sigma)[0], maps)


@every_encoder
def test_no_number_is_too_small_to_be_fast(encode):
    """Processors are slow with numbers below the smallest normal one."""
    maps, _ = encode(torch.tensor([[[1.3, 2.6]]]), torch.ones(1, 1), (192, 256), 2)
    assert maps[maps > 0].min() >= torch.finfo(torch.float32).tiny


@every_encoder
def test_numpy_in_numpy_out_and_input_unchanged(encode):
    keypoints, visible = (v.numpy() for v in instances())
    keypoints.flags.writeable = visible.flags.writeable = False
    arrays = encode(keypoints, visible, (48, 64), np.float32([2, 1, 3]))
    assert [type(v) for v in arrays] == [np.ndarray] * 2
    for value, expected in zip(arrays, encode(*instances(), (48, 64), torch.tensor([2.0, 1, 3]))):
        np.testing.assert_array_equal(value, expected)


@every_encoder
def test_whole_numbers_as_keypoints(encode):
    keypoints = np.array([[[3, 4], [7, 2]]])
    for value, expected in zip(
        encode(keypoints, np.ones((1, 2)), (12, 8), 1),
        encode(keypoints.astype(float), np.ones((1, 2)), (12, 8), 1),
    ):
        np.testing.assert_array_equal(value, expected)


@every_encoder
@pytest.mark.parametrize('sigma', [2, torch.empty(3, device='meta')], ids=['number', 'tensor'])
def test_reads_no_value_on_a_device(encode, sigma):
    """A meta tensor has none."""
    keypoints, visible = (v.to('meta') for v in instances())
    maps, weights = encode(keypoints, visible, (48, 64), sigma)
    assert (maps.shape, weights.shape) == ((5, 3, 64, 48), (5, 3))


@every_encoder
@pytest.mark.parametrize('shape', [(0, 3), (1, 0)])
def test_no_instance_or_no_keypoint(encode, shape):
    maps, weights = encode(torch.zeros(*shape, 2), torch.zeros(shape), (48, 64), 2)
    assert (maps.shape, weights.shape) == ((*shape, 64, 48), shape)


@every_encoder
@needs_gpu
@pytest.mark.parametrize('sigma', [2, (2, 1.5, 3)])
def test_same_on_the_device(encode, sigma):
    keypoints, visible = instances()
    sigma = torch.tensor(sigma, dtype=torch.float32)
    maps, weights = encode(keypoints, visible, (48, 64), sigma)
    on_device = encode(keypoints.cuda(), visible.cuda(), (48, 64), sigma.cuda())
    assert on_device[0].is_cuda
    torch.testing.assert_close(on_device[0].cpu(), maps, rtol=0, atol=1e-6)
    assert torch.equal(on_device[1].cpu(), weights)


@every_encoder
@needs_gpu
def test_never_waits_for_the_device(encode):
    keypoints, visible = (v.cuda() for v in instances())
    encode(keypoints, visible, (48, 64), 2)  # brings constants to the device
    with waiting_for_the_gpu_fails():
        encode(keypoints, visible, (48, 64), 2)
