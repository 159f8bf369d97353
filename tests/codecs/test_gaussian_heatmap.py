"""``GaussianHeatmap`` against MMPose's ``MSRAHeatmap`` and ``UDPHeatmap``."""

import warnings

import cv2
import numpy as np
import pytest
import torch
from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from mmpose.registry import KEYPOINT_CODECS
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix
from support.gpu import needs_gpu, waiting_for_the_gpu_fails

from hrnet_plugin.codecs import GaussianHeatmap

SIZES = dict(input_size=(192, 256), heatmap_size=(48, 64))
STOCK = dict(
    msra=MSRAHeatmap, dark=lambda **options: MSRAHeatmap(unbiased=True, **options), udp=UDPHeatmap
)
every_variant = pytest.mark.parametrize('variant', STOCK)
blurring_variants = pytest.mark.parametrize('variant', ['dark', 'udp'])


def codecs(variant='msra', sigma=2, **changes):
    arguments = {**SIZES, 'sigma': sigma, **changes}
    return GaussianHeatmap(**arguments, variant=variant), STOCK[variant](**arguments)


def scattered_keypoints(rng, count=17):
    """Inside, on whole and half pixels, around the border, and far outside."""
    inside = rng.uniform(0, [192, 256], (count, 2))
    grid = rng.integers(-12, 80, (count, 2)) * 2.0
    border = rng.uniform(-40, 40, (count, 2)) + rng.integers(0, 2, (count, 2)) * [192, 256]
    outside = rng.uniform(-2000, 2000, (count, 2))
    return np.concatenate([inside, grid, border, outside])[None]


# For 1.4, squares are of a fractional size, and MMPose places some of them a pixel off.
@pytest.mark.parametrize('sigma', [1.4, 2])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@every_variant
def test_targets_equal_mmpose(variant, sigma, dtype):
    ours, theirs = codecs(variant, sigma)
    outside = invisible = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        keypoints = scattered_keypoints(rng).astype(dtype)
        visible = rng.choice([0, 0.3, 0.5, 1, 2], keypoints.shape[:2]).astype(dtype)
        before = keypoints.copy(), visible.copy()
        encoded, expected = (codec.encode(keypoints, visible) for codec in (ours, theirs))
        assert set(encoded) == set(expected)
        for name, value in expected.items():
            assert encoded[name].dtype == value.dtype
            assert encoded[name].shape == value.shape
        np.testing.assert_allclose(encoded['heatmaps'], expected['heatmaps'], rtol=0, atol=1e-6)
        np.testing.assert_array_equal(encoded['keypoint_weights'], expected['keypoint_weights'])
        np.testing.assert_array_equal(keypoints, before[0])
        np.testing.assert_array_equal(visible, before[1])
        outside += np.sum((expected['keypoint_weights'] == 0) & (visible >= 0.5))
        invisible += np.sum(visible < 0.5)
    assert outside > 70
    assert invisible > 70


@every_variant
def test_borders_are_mmposes_to_the_last_bit(variant):
    """Where single precision decides to which pixel a keypoint belongs, and what is outside."""
    rng = np.random.default_rng(0)
    # Half a step exists on one side of 0.5.
    steps = np.arange(-4, 4.5, 0.5, dtype=np.float32)
    for sigma in (0.9, 1.1, 1.4, 1.7, 2, 2.3):
        ours, theirs = codecs(variant, sigma)
        borders = np.array([0, 0.5, 3.5, -0.5, 0, 48, -1, 48.5, 48], np.float32)
        borders[4:] += 3 * sigma * np.array([-1, 1, -1, 1, 1], np.float32)
        near = borders[:, None] + np.spacing(borders)[:, None] * steps
        points = np.stack([near.ravel(), rng.permutation(near.ravel())], axis=-1)[None]
        keypoints = points * np.float32([191 / 47, 255 / 63] if variant == 'udp' else [4, 4])
        encoded, expected = (codec.encode(keypoints) for codec in (ours, theirs))
        assert 0 < expected['keypoint_weights'].mean() < 1
        np.testing.assert_array_equal(encoded['keypoint_weights'], expected['keypoint_weights'])
        np.testing.assert_allclose(encoded['heatmaps'], expected['heatmaps'], rtol=0, atol=1e-6)


@every_variant
def test_all_visible_by_default(variant):
    ours, theirs = codecs(variant)
    keypoints = scattered_keypoints(np.random.default_rng(0))
    encoded, expected = ours.encode(keypoints), theirs.encode(keypoints)
    np.testing.assert_array_equal(encoded['keypoint_weights'], expected['keypoint_weights'])
    assert encoded['keypoint_weights'].dtype == np.float32


@every_variant
def test_sigma_of_each_keypoint(variant):
    keypoints = scattered_keypoints(np.random.default_rng(0))[:, :60:20]
    sigmas = [1, 2.5, 3]
    encoded = codecs(variant, sigmas)[0].encode(keypoints)
    for k, sigma in enumerate(sigmas):
        expected = codecs(variant, sigma)[1].encode(keypoints[:, k : k + 1])
        np.testing.assert_allclose(
            encoded['heatmaps'][k], expected['heatmaps'][0], rtol=0, atol=1e-6
        )


@every_variant
def test_batch_equals_one_by_one(variant):
    """And a sigma of each instance."""
    ours = codecs(variant)[0]
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([scattered_keypoints(rng) for _ in range(3)])
    visible = rng.choice([0.0, 1.0], keypoints.shape[:2])
    sigmas = np.array([[1.0], [2], [3]])
    maps, weights = ours.encode_batch(keypoints, visible, sigmas)
    for n in range(3):
        expected = codecs(variant, sigmas[n, 0])[1].encode(keypoints[n : n + 1], visible[n][None])
        np.testing.assert_allclose(maps[n], expected['heatmaps'], rtol=0, atol=1e-6)
        np.testing.assert_array_equal(weights[n : n + 1], expected['keypoint_weights'])
    points, scores = ours.decode_batch(maps)
    for n in range(3):
        alone, score = ours.decode_batch(maps[n : n + 1])
        np.testing.assert_allclose(points[n : n + 1], alone, atol=1e-4)
        np.testing.assert_array_equal(scores[n : n + 1], score)


def peaks_everywhere():
    """One peak on each pixel, with sloping surroundings: borders included."""
    rng = np.random.default_rng(0)
    maps = rng.uniform(0.1, 0.2, (48 * 64, 64, 48)).astype(np.float32)
    maps.reshape(48 * 64, -1)[np.arange(48 * 64), np.arange(48 * 64)] = 1
    return maps


def msra_cases():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 64, 48)).astype(np.float32)
    flat = np.stack([np.full((64, 48), v, np.float32) for v in (0, 1, -1, 1e-30)])
    return {
        'noise': noise,
        'everywhere': peaks_everywhere(),
        'ties': rng.integers(0, 3, (40, 64, 48)).astype(np.float32),
        'flat': flat,
        'negative': -np.abs(noise) - 0.1,
        'double': rng.normal(size=(9, 64, 48)),
    }


@pytest.mark.parametrize('case', msra_cases())
def test_msra_equals_mmpose_exactly(case):
    ours, theirs = codecs()
    heatmaps = msra_cases()[case]
    before = heatmaps.copy()
    expected = theirs.decode(heatmaps)
    batch = heatmaps[None].repeat(2, axis=0)
    decoded = ours.decode(heatmaps)
    from_array, from_tensor = ours.batch_decode(batch), ours.batch_decode(torch.tensor(batch))
    np.testing.assert_array_equal(heatmaps, before)
    for keypoints, scores in (decoded, *zip(*from_array), *zip(*from_tensor)):
        for value, other in zip((keypoints, scores), expected):
            assert isinstance(value, np.ndarray)
            assert value.dtype == other.dtype
            np.testing.assert_array_equal(value, other)
    assert [len(v) for v in (*from_array, *from_tensor)] == [2] * 4


def blurred_cases():
    """Heatmaps as networks put them out, up to the border."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(-0.5, [47.5, 63.5], (1, 150, 2))
    keypoints[0, ::3, 0] = rng.choice([0, 0.4, 1, 2.3, 44.8, 46, 47], 50)
    keypoints[0, 1::3, 1] = rng.choice([0, 0.4, 1, 2.3, 60.8, 62, 63], 50)
    gaussian = GaussianHeatmap(**SIZES, sigma=2, variant='dark')
    clean = gaussian.encode_batch(4 * keypoints)[0][0]
    noise = rng.normal(size=clean.shape).astype(np.float32)
    two = np.zeros((2, 64, 48), np.float32)
    two[:, 20:23, 20:23] = 0.5
    two[:, 21, 21] = two[:, 40, 9] = two[:, 50, 30] = 1  # equal peaks: the first one counts
    two[1, 40:43, 30:33] = 1
    return {
        'clean': clean,
        'faint': 0.1 * clean + 0.002,
        'high': 20 * clean,
        'with noise': clean + 0.02 * noise,
        'several peaks': np.maximum(clean, 0.9 * clean[::-1]) + 0.3 * np.roll(clean, 5, axis=0),
        'equal peaks': two,
        'double': np.float64(clean),
    }


@pytest.mark.parametrize('case', blurred_cases())
@blurring_variants
def test_dark_and_udp_equal_mmpose(variant, case):
    """To 1e-4 px of the input."""
    heatmaps = blurred_cases()[case]
    before = heatmaps.copy()
    for changes in ({}, dict(blur_kernel_size=17)):
        ours, theirs = codecs(variant, **changes)
        with np.errstate(all='ignore'):
            expected = theirs.decode(heatmaps)
        settled = settle(ours, heatmaps)
        assert settled.mean() > 0.97
        from_tensor = ours.batch_decode(torch.tensor(heatmaps[None]))
        from_array = ours.batch_decode(heatmaps[None])
        for keypoints, scores in (ours.decode(heatmaps), *zip(*from_tensor), *zip(*from_array)):
            assert keypoints.dtype == np.float32
            np.testing.assert_allclose(keypoints[0][settled], expected[0][0][settled], 0, 1e-4)
            np.testing.assert_array_equal(scores, expected[1])
    np.testing.assert_array_equal(heatmaps, before)


@pytest.mark.parametrize('distribution', ['uniform', 'normal', 'low'])
@blurring_variants
def test_noise_equals_mmpose_where_single_precision_decides_nothing(variant, distribution):
    """Blurred noise is next to flat, and stock's single precision is up to hundreds of pixels off.

    (tests/functional compares ours with the formula in double precision: there, nothing is off.)
    """
    ours, theirs = codecs(variant)
    rng = np.random.default_rng(0)
    heatmaps = dict(
        uniform=rng.random((500, 64, 48)),
        normal=rng.normal(size=(500, 64, 48)),
        low=1e-3 * rng.random((500, 64, 48)) ** 9,
    )[distribution].astype(np.float32)
    expected = theirs.decode(heatmaps)[0][0]
    settled = settle(ours, heatmaps)
    assert settled.sum() >= 10
    np.testing.assert_allclose(ours.decode(heatmaps)[0][0][settled], expected[settled], 0, 1e-4)


def settle(codec, heatmaps):
    """Of K heatmaps (K, H, W), those for which rounding errors of 1e-7 do not matter: (K,)."""
    keypoints = codec.decode(heatmaps)[0][0]
    rng = np.random.default_rng(1)
    moved = np.zeros(len(keypoints))
    for _ in range(5):
        noisy = heatmaps * (1 + 3e-6 * rng.normal(size=heatmaps.shape))
        # Keep the peak, or another pixel may become it.
        noisy = np.where(heatmaps == heatmaps.max(axis=(1, 2), keepdims=True), heatmaps, noisy)
        step = np.abs(codec.decode(noisy)[0][0] - keypoints)
        moved = np.maximum(moved, step.max(axis=-1))
    return moved < 2e-5


@every_variant
def test_flat_heatmaps(variant):
    """Without a positive pixel there is no keypoint: -1 px of the heatmap.

    Stock's udp then reads pixels of other keypoints, and divides 0 by 0.
    """
    ours, theirs = codecs(variant)
    flat = np.stack([np.full((64, 48), v, np.float32) for v in (1, 1e-30, 0, -1)])
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        expected = theirs.decode(flat)[0]
    keypoints, scores = ours.decode(flat)
    compared = 2 if variant == 'udp' else 4
    np.testing.assert_allclose(keypoints[:, :compared], expected[:, :compared], atol=1e-4)
    scale = [192 / 47, 256 / 63] if variant == 'udp' else [4, 4]
    np.testing.assert_allclose(keypoints[0, 2:], [np.negative(scale)] * 2, rtol=1e-6)
    np.testing.assert_array_equal(scores, [[1, np.float32(1e-30), 0, -1]])


def test_stock_udp_reads_other_keypoints():
    """Why ``test_flat_heatmaps`` leaves two out: one keypoint depends on another's heatmap."""
    stock = codecs('udp')[1]
    heatmaps = np.stack([np.full((64, 48), v, np.float32) for v in (1, -1)])
    heatmaps[0, -3:, -3:] = 5
    with np.errstate(all='ignore'):
        together, alone = stock.decode(heatmaps)[0][0, 1], stock.decode(heatmaps[1:])[0][0, 0]
    assert np.abs(together - alone).max() > 1
    ours = codecs('udp')[0]
    np.testing.assert_array_equal(
        ours.decode(heatmaps)[0][0, 1], ours.decode(heatmaps[1:])[0][0, 0]
    )


@every_variant
def test_other_sizes_equal_mmpose(variant):
    """Not square, a stride of 2, a sigma of 3: the axes cannot be mixed up."""
    ours, theirs = codecs(variant, 3, input_size=(96, 32), heatmap_size=(48, 16))
    keypoints = np.array([[[91.0, 5.0], [3.0, 30.0]]], np.float32)
    encoded, expected = ours.encode(keypoints), theirs.encode(keypoints)
    np.testing.assert_allclose(encoded['heatmaps'], expected['heatmaps'], rtol=0, atol=1e-6)
    for value, other in zip(ours.decode(encoded['heatmaps']), theirs.decode(expected['heatmaps'])):
        np.testing.assert_allclose(value, other, rtol=0, atol=1e-4)


BOUNDS = dict(msra=2.0, dark=0.1, udp=0.1)


@every_variant
@pytest.mark.parametrize('large', [False, True])
def test_round_trip(variant, large):
    """Of points away from borders, in input pixels; msra: half a heatmap pixel."""
    sizes = dict(input_size=(288, 384), heatmap_size=(72, 96)) if large else SIZES
    sigma = 3 if large else 2
    codec = GaussianHeatmap(**sizes, sigma=sigma, variant=variant)
    rng = np.random.default_rng(0)
    w, h = codec.input_size
    keypoints = rng.uniform(60, [w - 60, h - 60], (16, 17, 2)).astype(np.float32)
    points, _ = codec.decode_batch(codec.encode_batch(keypoints)[0])
    assert np.abs(points - keypoints).max() <= BOUNDS[variant]


@every_variant
def test_round_trip_through_affine_and_estimator(variant):
    """From the image to the input, as ``TopdownAffine``, and back, as the estimator."""
    codec = codecs(variant)[0]
    rng = np.random.default_rng(0)
    warp = get_udp_warp_matrix if variant == 'udp' else get_warp_matrix
    worst = 0
    for _ in range(20):
        center, height = rng.uniform(100, 400, 2), rng.uniform(50, 400)
        box = np.array([height * 0.75, height])
        points = (center + rng.uniform(-0.35, 0.35, (17, 2)) * box).astype(np.float32)
        matrix = warp(center, box, 0, output_size=codec.input_size)
        inputs = cv2.transform(points[None], matrix)
        decoded = codec.decode(codec.encode(inputs)['heatmaps'])[0][0]
        back = decoded / codec.input_size * box + center - 0.5 * box
        worst = max(worst, np.abs((back - points) / box * codec.input_size).max())
    assert worst <= BOUNDS[variant]


def test_one_transfer_per_batch(monkeypatch):
    calls = []
    original = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, 'cpu', lambda self: calls.append(1) or original(self))
    maps = torch.rand(5, 17, 64, 48, requires_grad=True)
    keypoints, _ = codecs()[0].batch_decode(maps)
    assert len(keypoints) == 5
    assert len(calls) == 1


@every_variant
def test_tensors_in_tensors_out(variant):
    codec = codecs(variant, [1, 2, 3])[0]
    rng = np.random.default_rng(0)
    arrays = rng.uniform(0, [192, 256], (4, 3, 2)).astype(np.float32), np.ones((4, 3), np.float32)
    tensors = tuple(map(torch.tensor, arrays))
    from_arrays, from_tensors = codec.encode_batch(*arrays), codec.encode_batch(*tensors)
    from_arrays += codec.decode_batch(from_arrays[0])
    from_tensors += codec.decode_batch(from_tensors[0])
    encoded = codec.encode(tensors[0][:1], tensors[1][:1])
    for array, tensor in zip(from_arrays, from_tensors):
        assert isinstance(array, np.ndarray)
        assert isinstance(tensor, torch.Tensor)
        np.testing.assert_array_equal(array, tensor)
    assert torch.equal(encoded['heatmaps'], from_tensors[0][0])
    assert torch.equal(encoded['keypoint_weights'], from_tensors[1][:1])


@every_variant
@needs_gpu
def test_same_on_the_device_without_waiting(variant):
    codec = codecs(variant, [1, 2, 3])[0]
    keypoints = 250 * torch.rand((4, 3, 2), generator=torch.Generator().manual_seed(0))
    expected = codec.encode_batch(keypoints)
    expected += codec.decode_batch(expected[0])
    on_device = keypoints.cuda()
    codec.decode_batch(codec.encode_batch(on_device)[0])  # brings constants to the device
    with waiting_for_the_gpu_fails():
        results = codec.encode_batch(on_device)
        results += codec.decode_batch(results[0])
    for value, other in zip(results, expected):
        assert value.is_cuda
        torch.testing.assert_close(value.cpu(), other, rtol=1e-6, atol=1e-4)


def test_serves_mmpose():
    codec = KEYPOINT_CODECS.build(dict(type='hrnet_plugin.GaussianHeatmap', sigma=2, **SIZES))
    assert isinstance(codec, GaussianHeatmap)
    assert codec.support_batch_decoding
    assert codec.label_mapping_table == MSRAHeatmap.label_mapping_table
    assert codec.field_mapping_table == MSRAHeatmap.field_mapping_table
    assert codec.input_size == (192, 256)


def test_packs_keypoints_when_asked_to():
    codec = GaussianHeatmap(**SIZES, sigma=2, targets='keypoints')
    keypoints = np.array([[[3.0, 4], [1000, 5]]], np.float32)
    encoded = codec.encode(keypoints, np.array([[1, 0.5]], np.float32))
    assert encoded['keypoint_labels'].tolist() == [[[3, 4, 1], [1000, 5, 0.5]]]
    assert encoded['keypoint_weights'].tolist() == [[1, 0.5]]
    assert encoded['keypoint_labels'].dtype == np.float32
    assert set(encoded) == set(codec.label_mapping_table)
    assert not codec.field_mapping_table
    as_tensors = codec.encode(torch.tensor(keypoints), torch.tensor([[1, 0.5]]))
    np.testing.assert_array_equal(as_tensors['keypoint_labels'], encoded['keypoint_labels'])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(variant='msre'), "unknown variant .* 'msre'; did you mean 'msra'"),
        (dict(targets='keypoint'), "unknown targets .* 'keypoint'; did you mean 'keypoints'"),
        (dict(sigma=0), 'sigma is 0; expected a number above 0'),
        (dict(sigma=-2), 'sigma is -2'),
        (dict(sigma=float('nan')), 'sigma is nan'),
        (dict(sigma=[2, 0]), r'sigma is \[2, 0\]'),
        (dict(sigma=[]), r'sigma is \[\]; .* one for each keypoint'),
        (dict(sigma=[[2]]), r'sigma is \[\[2\]\]'),
        (dict(input_size=(256, 192)), r'\(w, h\) = \(256, 192\) .* swap'),
        (dict(input_size=(192, 250)), r'\(w, h\) = \(192, 250\) .* \(192, 256\) would fit'),
        (dict(input_size=(192, 250), variant='udp'), r'\(192, 256\) would fit'),
        (dict(input_size=(96, 256)), r'\(w, h\) = \(96, 256\) .* \(96, 128\) would fit'),
        (dict(input_size=(24, 32)), r'\(w, h\) = \(24, 32\) .* \(48, 64\) would fit'),
        (dict(heatmap_size=(48, 64, 17)), r'heatmap_size is \(48, 64, 17\); expected two'),
        (dict(heatmap_size=(48, 0)), r'heatmap_size is \(48, 0\)'),
        (dict(heatmap_size=(48.5, 64)), r'heatmap_size is \(48.5, 64\)'),
        (dict(blur_kernel_size=11), "'msra' has no blur_kernel_size: .* 'dark' or 'udp'"),
        (dict(blur_kernel_size=10, variant='dark'), 'blur_kernel_size is 10; expected an odd'),
        (dict(blur_kernel_size=1, variant='udp'), 'blur_kernel_size is 1; expected an odd'),
    ],
)
def test_refuses_to_be_built(change, message):
    with pytest.raises(ValueError, match=message):
        GaussianHeatmap(**{**SIZES, 'sigma': 2, **change})


def test_refuses_a_misspelled_option():
    with pytest.raises(TypeError, match="'varient'; did you mean 'variant'"):
        GaussianHeatmap(**SIZES, sigma=2, varient='msra')


@pytest.mark.parametrize('shape', [(17, 2), (2, 17, 2), (1, 17, 3)])
def test_encode_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r'expected \(1, K, 2\)'):
        codecs()[0].encode(np.zeros(shape))


@pytest.mark.parametrize('shape', [(17, 2), (1, 17, 3)])
def test_encode_batch_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r'expected \(N, K, 2\)'):
        codecs()[0].encode_batch(np.zeros(shape))


@pytest.mark.parametrize('targets', ['heatmaps', 'keypoints'])
def test_encode_refuses_another_number_of_keypoints(targets):
    codec = GaussianHeatmap(**SIZES, sigma=[1, 2, 3], targets=targets)
    with pytest.raises(ValueError, match='17 keypoints, but 3 values of sigma'):
        codec.encode(np.zeros((1, 17, 2)))


@pytest.mark.parametrize('targets', ['heatmaps', 'keypoints'])
def test_encode_refuses_other_visibilities(targets):
    with pytest.raises(ValueError, match=r'shape \(1, 16\); expected \(1, 17\)'):
        GaussianHeatmap(**SIZES, sigma=2, targets=targets).encode(
            np.zeros((1, 17, 2)), np.ones((1, 16))
        )


@pytest.mark.parametrize('shape', [(17, 48, 64), (17, 64), (2, 17, 64, 48)])
def test_decode_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r'expected \(B, K, 64, 48\)'):
        codecs()[0].decode(np.zeros(shape))
