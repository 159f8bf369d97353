"""Decoding by hand and by the papers' formulas on whole maps; tests/codecs has MMPose's."""

from functools import cache

import cv2
import numpy as np
import pytest
import torch
from support.gpu import needs_gpu, waiting_for_the_gpu_fails

from hrnet_plugin.functional import (
    decode_dark,
    decode_msra,
    decode_udp,
    encode_dark,
    encode_msra,
    encode_udp,
)
from hrnet_plugin.functional.heatmaps import decode

DECODERS = dict(msra=decode_msra, dark=decode_dark, udp=decode_udp)
every_decoder = pytest.mark.parametrize('decode', DECODERS.values(), ids=DECODERS)
blurring_decoders = pytest.mark.parametrize('variant', ['dark', 'udp'])
SHAPE = (80, 64, 48)


def formula(heatmap, variant, kernel_size):
    """DARK's or UDP's keypoint of one heatmap, by blurring all of it, in double precision."""
    heatmap = heatmap.astype(np.float64)
    highest = heatmap.max()
    if highest <= 0:
        return np.full(2, -1.0)
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    kernel, border = cv2.getGaussianKernel(kernel_size, 0, cv2.CV_64F), kernel_size // 2
    blurred = cv2.sepFilter2D(np.pad(heatmap, border), cv2.CV_64F, kernel, kernel)
    blurred = blurred[border:-border, border:-border]
    if blurred.max() > 0:
        blurred = blurred * (highest / blurred.max())
    limits = dict(dark=(1e-10, np.inf), udp=(1e-3, 50))[variant]
    log = np.pad(np.log(blurred.clip(*limits)), 2, mode='edge')

    def d(right, below):
        return log[y + 2 + below, x + 2 + right]

    gradient = [(d(1, 0) - d(-1, 0)) / 2, (d(0, 1) - d(0, -1)) / 2]
    if variant == 'dark':
        height, width = heatmap.shape
        if not (1 < x < width - 2 and 1 < y < height - 2):
            return np.array([x, y], dtype=float)
        dxx = (d(2, 0) - 2 * d(0, 0) + d(-2, 0)) / 4
        dyy = (d(0, 2) - 2 * d(0, 0) + d(0, -2)) / 4
        dxy = (d(1, 1) - d(1, -1) - d(-1, 1) + d(-1, -1)) / 4
        if abs(dxx * dyy - dxy**2) <= 1e-9 * (abs(dxx) + abs(dyy)) ** 2:
            return np.array([x, y], dtype=float)
    else:
        dxx = d(1, 0) - 2 * d(0, 0) + d(-1, 0) + np.finfo(np.float32).eps
        dyy = d(0, 1) - 2 * d(0, 0) + d(0, -1) + np.finfo(np.float32).eps
        dxy = (d(1, 1) - d(1, 0) - d(0, 1) + 2 * d(0, 0)) / 2
        dxy += (d(-1, -1) - d(-1, 0) - d(0, -1)) / 2
    return [x, y] - np.linalg.solve([[dxx, dxy], [dxy, dyy]], gradient)


@cache
def heatmap_cases():
    """Heatmaps (M, 64, 48) of many kinds."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(-4, [52, 68], (1, SHAPE[0], 2))
    encoded = encode_udp(keypoints, np.ones((1, SHAPE[0])), (48, 64), 2)[0][0]
    encoded = encoded[encoded.max(axis=(1, 2)) > 0]
    noise = rng.normal(size=encoded.shape)
    spikes = np.full((3, 64, 48), -1.0)
    spikes[:, 30, 20] = [0.1, 1, 10]
    ridges = np.exp(-(((np.arange(64.0) - 30.2) / 2) ** 2) / 2)[:, None] * np.ones(48)
    ridges = np.stack([ridges, ridges.clip(0.5)])
    ridges[:, :, :9] *= 0.9  # begins at column 9
    plateau = np.zeros((4, 64, 48))
    plateau[0, 20:40, 10:30] = plateau[1, 20:24, 10:13] = plateau[2, 60:, 40:] = 1
    plateau[3, 0] = 1
    return {
        'encoded': encoded,
        'with noise': encoded + 0.02 * noise,
        'several peaks': np.maximum(encoded, encoded[::-1]) + 0.3 * np.roll(encoded, 5, axis=0),
        'low': 1e-3 * encoded + 1e-4 * noise,
        'high': 100 * encoded,
        'uniform noise': rng.random(SHAPE),
        'noise': noise,
        'whole numbers': rng.integers(0, 3, SHAPE) + (rng.random(SHAPE) > 0.9),
        'spikes': spikes,
        'ridges': ridges,
        'ridges along y': ridges[:, :48].swapaxes(1, 2),
        'plateau': plateau,
        'flat': np.stack([np.full((64, 48), v) for v in (0, 1, -1, 1e-30, 100)]),
        'small': rng.random((20, 5, 7)),
    }


@pytest.mark.parametrize('kernel_size', [7, 17])  # a constant of OpenCV, and by its formula
@blurring_decoders
def test_equals_the_formula(variant, kernel_size):
    for case, maps in heatmap_cases().items():
        maps = maps.astype(np.float32)
        keypoints, scores = DECODERS[variant](maps, kernel_size)
        expected = np.stack([formula(m, variant, kernel_size) for m in maps])
        # Where a step is of thousands of pixels, so is the rounding of the result.
        np.testing.assert_allclose(keypoints, expected, rtol=1e-6, atol=2e-5, err_msg=case)
        np.testing.assert_array_equal(scores, maps.max(axis=(1, 2)), err_msg=case)


@every_decoder
def test_same_where_values_cannot_be_read(monkeypatch, decode):
    for case, maps in heatmap_cases().items():
        maps = torch.tensor(maps, dtype=torch.float32)
        expected, values = decode(maps)
        with monkeypatch.context() as patch:
            patch.setattr(torch.compiler, 'is_compiling', lambda: True)
            keypoints, scores = decode(maps)
        np.testing.assert_allclose(keypoints, expected, rtol=1e-6, atol=2e-5, err_msg=case)
        np.testing.assert_array_equal(scores, values, err_msg=case)


@every_decoder
def test_reads_no_value_on_a_device(decode):
    """A meta tensor has none."""
    keypoints, scores = decode(torch.empty(2, 3, 20, 18, device='meta'))
    assert (keypoints.shape, scores.shape) == ((2, 3, 2), (2, 3))


@blurring_decoders
def test_only_clamped_heatmaps_are_blurred_as_a_whole(monkeypatch, variant):
    """On a CPU, as that takes most time."""
    blurred = []
    original = decode._blurred_maximum
    monkeypatch.setattr(
        decode,
        '_blurred_maximum',
        lambda maps, size: blurred.append(len(maps)) or original(maps, size),
    )
    maps = heatmap_cases()['uniform noise'].astype(np.float32)
    maps[7, 30, 20], maps[7, :, 22] = 2, -5
    maps[9] *= -1  # no peak, no step, no blur
    DECODERS[variant](maps)
    assert blurred == [1]


def test_kernels_are_those_of_opencv():
    for size in range(3, 33, 2):
        kernel = decode.gaussian_kernel(size)
        np.testing.assert_allclose(kernel, cv2.getGaussianKernel(size, 0)[:, 0], rtol=1e-12)


@pytest.mark.parametrize('size', [1, 0, -3, 10])
@blurring_decoders
def test_refuses_other_kernels(variant, size):
    with pytest.raises(ValueError, match=f'blur_kernel_size is {size}; expected an odd'):
        DECODERS[variant](np.ones((1, 1, 8, 8), np.float32), size)


def test_quarter_pixel_by_hand():
    maps = np.zeros((7, 9), np.float32)
    maps[3, 4], maps[3, 5], maps[2, 4] = 1, 0.5, 0.25  # higher to the right and above
    keypoints, scores = decode_msra(maps[None, None])
    assert keypoints.tolist() == [[[4.25, 2.75]]]
    assert scores.tolist() == [[1]]


@every_decoder
def test_whole_numbers_are_as_good_as_floats(decode):
    maps = np.random.default_rng(0).integers(0, 256, (4, 5, 16, 16), dtype=np.uint8)
    for ours, expected in zip(decode(maps), decode(maps.astype(np.float32))):
        np.testing.assert_array_equal(ours, expected)


@every_decoder
def test_no_score_where_there_is_nan(decode):
    maps = np.zeros((2, 16, 16), np.float32)
    maps[:, 5, 6], maps[1, 5, 7] = 1, np.nan
    keypoints, scores = decode(maps)
    assert np.isnan(scores).tolist() == [False, True]
    if decode is not decode_msra:  # which only compares
        assert np.isnan(keypoints).tolist() == [[False, False], [True, True]]


@blurring_decoders
def test_symmetric_peak_is_not_moved(variant):
    maps = np.zeros((1, 1, 15, 17), np.float32)
    maps[0, 0, 7, 8] = 1
    maps[0, 0, 6:9, 8] += 0.5
    maps[0, 0, 7, 7:10] += 0.5
    keypoints, scores = DECODERS[variant](maps)
    np.testing.assert_allclose(keypoints, [[[8, 7]]], atol=1e-6)
    assert scores.tolist() == [[2]]


def test_dark_makes_no_step_near_the_border():
    maps = np.random.default_rng(0).random((40, 8, 9), dtype=np.float32)
    places = np.stack(np.unravel_index(np.arange(72), (8, 9)), axis=-1)
    moved = set()
    for y, x in places:
        maps[0, y, x] = 2
        (point,), _ = decode_dark(maps[:1])
        if (point != [x, y]).any():
            moved.add((y, x))
        maps[0, y, x] = 1
    assert moved == {(y, x) for y in range(2, 6) for x in range(2, 7)}


@pytest.mark.parametrize(
    ('encode', 'decode', 'bound'),
    [
        # Around a whole pixel the neighbours are equal, and nothing is shifted.
        (encode_msra, decode_msra, 0.5),
        (encode_dark, decode_dark, 0.005),
        (encode_udp, decode_udp, 0.02),
    ],
)
@pytest.mark.parametrize(('sigma', 'kernel_size'), [(2, 11), (3, 17)])
def test_round_trip(encode, decode, bound, sigma, kernel_size):
    """Farthest errors, in heatmap pixels, of points three sigma and a blur inside."""
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([72, 96])
    margin = 3 * sigma + kernel_size // 2 + 1
    keypoints = margin + (size - 1 - 2 * margin) * torch.rand((8, 17, 2), generator=generator)
    maps, _ = encode(keypoints, torch.ones(8, 17), tuple(size.tolist()), sigma)
    points, scores = decode(maps) if decode is decode_msra else decode(maps, kernel_size)
    assert (points - keypoints).abs().max() <= bound
    assert scores.min() > 0.9


@every_decoder
def test_instances_are_independent(decode):
    maps = torch.randn((5, 3, 64, 48), generator=torch.Generator().manual_seed(0))
    points, scores = decode(maps)
    assert points.shape == (5, 3, 2)
    for n, k in np.ndindex(5, 3):
        found, score = decode(maps[n, k])
        # A product of several matrices may be rounded otherwise than that of one.
        torch.testing.assert_close(found, points[n, k], rtol=1e-6, atol=1e-5)
        assert score == scores[n, k]


@every_decoder
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(decode, dtype):
    maps = torch.rand((2, 3, 16, 12), generator=torch.Generator().manual_seed(0)).to(dtype)
    points, scores = decode(maps)
    expected, values = decode(maps.double())
    assert points.dtype == torch.float32
    assert scores.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(points, expected, rtol=1e-6, atol=1e-5)
    assert torch.equal(scores.double(), values)


@every_decoder
def test_autocast_changes_nothing(decode):
    maps = torch.randn((2, 3, 64, 48), generator=torch.Generator().manual_seed(0))
    expected, _ = decode(maps)
    with torch.autocast('cpu', torch.bfloat16):
        found, _ = decode(maps)
    assert torch.equal(found, expected)


@every_decoder
def test_no_gradient_is_kept(decode):
    maps = torch.rand(2, 3, 16, 12, requires_grad=True)
    assert not any(v.requires_grad for v in decode(maps))


@every_decoder
def test_any_memory_layout(decode):
    maps = torch.rand((2, 3, 16, 12), generator=torch.Generator().manual_seed(0))
    expected = decode(maps)
    for decoded in (
        decode(maps.to(memory_format=torch.channels_last)),
        decode(maps.mT.contiguous().mT),
        decode(maps.numpy()[..., ::-1][..., ::-1]),
    ):
        for value, other in zip(decoded, expected):
            np.testing.assert_array_equal(value, other)


@every_decoder
def test_numpy_in_numpy_out_and_input_unchanged(decode):
    maps = np.random.default_rng(0).normal(size=(2, 3, 16, 12)).astype(np.float32)
    before = maps.copy()
    arrays = decode(maps)
    assert [type(v) for v in arrays] == [np.ndarray] * 2
    for value, expected in zip(arrays, decode(torch.tensor(maps))):
        np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(maps, before)


@every_decoder
@needs_gpu
def test_same_on_the_device(decode):
    for case, maps in heatmap_cases().items():
        maps = torch.tensor(maps, dtype=torch.float32)
        points, scores = decode(maps.cuda())
        expected, values = decode(maps)
        assert points.is_cuda
        np.testing.assert_allclose(points.cpu(), expected, rtol=1e-6, atol=2e-5, err_msg=case)
        np.testing.assert_array_equal(scores.cpu(), values, err_msg=case)


@every_decoder
@needs_gpu
def test_never_waits_for_the_device(decode):
    maps = torch.randn(5, 17, 64, 48, device='cuda')
    decode(maps)  # brings constants to the device
    with waiting_for_the_gpu_fails():
        decode(maps)


class Decoder(torch.nn.Module):
    def __init__(self, decode):
        super().__init__()
        self.decode = decode

    def forward(self, maps):
        return self.decode(maps)


def test_export_leaves_nothing_behind():
    """As part of a model; and then not as part of one."""
    decode = decode_dark
    maps = torch.randn((2, 3, 20, 18), generator=torch.Generator().manual_seed(0))
    program = torch.export.export(Decoder(decode), (maps,), strict=False)
    for value, expected in zip(program.module()(maps), decode(maps)):
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-5)
