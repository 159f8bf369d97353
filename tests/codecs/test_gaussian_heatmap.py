"""``GaussianHeatmap`` against MMPose's ``MSRAHeatmap``."""

import numpy as np
import pytest
import torch
from mmpose.codecs import MSRAHeatmap
from mmpose.registry import KEYPOINT_CODECS

from hrnet_plugin.codecs import GaussianHeatmap

SIZES = dict(input_size=(192, 256), heatmap_size=(48, 64))


def codecs(sigma=2, **sizes):
    arguments = dict(SIZES, sigma=sigma, **sizes)
    return GaussianHeatmap(**arguments), MSRAHeatmap(**arguments)


def scattered_keypoints(rng, count=17):
    """Inside, on whole and half pixels, around the border, and far outside."""
    inside = rng.uniform(0, [192, 256], (count, 2))
    grid = rng.integers(-12, 80, (count, 2)) * 2.0
    border = rng.uniform(-40, 40, (count, 2)) + rng.integers(0, 2, (count, 2)) * [192, 256]
    outside = rng.uniform(-2000, 2000, (count, 2))
    return np.concatenate([inside, grid, border, outside])[None]


# 1.5 and 1.4 give squares of a broken size, which MMPose puts a pixel off here and there.
@pytest.mark.parametrize('sigma', [1, 1.4, 1.5, 2, 2.0, 3])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_targets_equal_mmpose(sigma, dtype):
    ours, theirs = codecs(sigma)
    outside = invisible = 0
    for seed in range(15):
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
    assert outside > 100
    assert invisible > 100


def test_all_visible_by_default():
    ours, theirs = codecs()
    keypoints = scattered_keypoints(np.random.default_rng(0))
    encoded, expected = ours.encode(keypoints), theirs.encode(keypoints)
    np.testing.assert_array_equal(encoded['keypoint_weights'], expected['keypoint_weights'])
    assert encoded['keypoint_weights'].dtype == np.float32


def peaks_everywhere():
    """One peak on each pixel, with sloping surroundings: borders included."""
    rng = np.random.default_rng(0)
    maps = rng.uniform(0.1, 0.2, (48 * 64, 64, 48)).astype(np.float32)
    maps.reshape(48 * 64, -1)[np.arange(48 * 64), np.arange(48 * 64)] = 1
    return maps


def heatmap_cases():
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


@pytest.mark.parametrize('case', heatmap_cases())
def test_decoding_equals_mmpose_exactly(case):
    ours, theirs = codecs()
    heatmaps = heatmap_cases()[case]
    before = heatmaps.copy()
    expected = theirs.decode(heatmaps)
    batch = heatmaps[None].repeat(2, axis=0)
    decoded = ours.decode(heatmaps)
    from_array, from_tensor = ours.batch_decode(batch), ours.batch_decode(torch.tensor(batch))
    np.testing.assert_array_equal(heatmaps, before)
    for keypoints, scores in (decoded, *zip(*from_array), *zip(*from_tensor)):
        for value, wanted in zip((keypoints, scores), expected):
            assert isinstance(value, np.ndarray)
            assert value.dtype == wanted.dtype
            np.testing.assert_array_equal(value, wanted)
    assert [len(v) for v in (*from_array, *from_tensor)] == [2] * 4


def test_other_sizes_equal_mmpose():
    """Not square, a stride of 2, a sigma of 3: the axes cannot be mixed up."""
    ours, theirs = codecs(3, input_size=(96, 32), heatmap_size=(48, 16))
    keypoints = np.array([[[91.0, 5.0], [3.0, 30.0]]], np.float32)
    encoded, expected = ours.encode(keypoints), theirs.encode(keypoints)
    np.testing.assert_allclose(encoded['heatmaps'], expected['heatmaps'], rtol=0, atol=1e-6)
    for value, wanted in zip(
        ours.decode(encoded['heatmaps']), theirs.decode(expected['heatmaps'])
    ):
        np.testing.assert_array_equal(value, wanted)


def test_one_transfer_per_batch(monkeypatch):
    calls = []
    original = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, 'cpu', lambda self: calls.append(1) or original(self))
    maps = torch.rand(5, 17, 64, 48, requires_grad=True)
    keypoints, _ = codecs()[0].batch_decode(maps)
    assert len(keypoints) == 5
    assert len(calls) == 1


def test_serves_mmpose():
    codec = KEYPOINT_CODECS.build(dict(type='hrnet_plugin.GaussianHeatmap', sigma=2, **SIZES))
    assert isinstance(codec, GaussianHeatmap)
    assert codec.support_batch_decoding
    assert codec.label_mapping_table == MSRAHeatmap.label_mapping_table
    assert codec.field_mapping_table == MSRAHeatmap.field_mapping_table
    assert codec.input_size == (192, 256)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(variant='msre'), "unknown variant .* 'msre'; did you mean 'msra'"),
        (dict(sigma=0), 'sigma is 0; expected a number above 0'),
        (dict(sigma=-2), 'sigma is -2'),
        (dict(sigma=float('nan')), 'sigma is nan'),
        (dict(input_size=(256, 192)), r'\(w, h\) = \(256, 192\) .* swap'),
        (dict(input_size=(192, 250)), r'\(w, h\) = \(192, 250\) .* \(192, 256\) would fit'),
        (dict(input_size=(96, 256)), r'\(w, h\) = \(96, 256\) .* \(96, 128\) would fit'),
        (dict(input_size=(24, 32)), r'\(w, h\) = \(24, 32\) .* \(48, 64\) would fit'),
        (dict(heatmap_size=(48, 64, 17)), r'heatmap_size is \(48, 64, 17\); expected two'),
        (dict(heatmap_size=(48, 0)), r'heatmap_size is \(48, 0\)'),
        (dict(heatmap_size=(48.5, 64)), r'heatmap_size is \(48.5, 64\)'),
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


def test_encode_refuses_other_visibilities():
    with pytest.raises(ValueError, match=r'shape \(1, 16\); expected \(1, 17\)'):
        codecs()[0].encode(np.zeros((1, 17, 2)), np.ones((1, 16)))


@pytest.mark.parametrize('shape', [(17, 48, 64), (17, 64), (2, 17, 64, 48)])
def test_decode_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r'expected \(B, K, 64, 48\)'):
        codecs()[0].decode(np.zeros(shape))
