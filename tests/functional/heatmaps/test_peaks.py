"""Peaks by hand, of odd sizes, values and precisions."""

import numpy as np
import pytest
import torch
from support.gpu import needs_gpu

from hrnet_plugin.functional import heatmap_peaks


@pytest.fixture(params=[False, True], ids=['eager', 'compiling'])
def each_mode(request, monkeypatch):
    """Where the values of a tensor on the CPU can be read, and where they cannot."""
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: request.param)


in_each_mode = pytest.mark.usefixtures('each_mode')


@in_each_mode
def test_no_positive_pixel_is_no_peak():
    maps = np.stack([np.zeros((4, 5)), np.full((4, 5), -1), np.full((4, 5), 2)])
    peaks, scores = heatmap_peaks(maps.astype(np.float32))
    assert peaks.tolist() == [[-1, -1], [-1, -1], [0, 0]]
    assert scores.tolist() == [0, -1, 2]


@in_each_mode
@pytest.mark.parametrize('size', [(1, 1), (1, 7), (5, 3), (16, 17), (33, 31)])
def test_every_pixel_can_be_the_highest(size):
    height, width = size
    maps = np.random.default_rng(0).normal(size=(height * width, height, width))
    maps.reshape(len(maps), -1)[np.diag_indices(len(maps))] = 9
    peaks, scores = heatmap_peaks(maps.astype(np.float32))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    np.testing.assert_array_equal(peaks, np.stack((x, y), axis=-1).reshape(-1, 2))
    np.testing.assert_array_equal(scores, 9)


@in_each_mode
def test_not_a_number_is_the_highest():
    maps = np.random.default_rng(0).normal(size=(64, 8, 48)).astype(np.float32)
    maps[:32, 3, 3], maps[32:, 3, 3] = np.inf, -np.inf
    maps.reshape(64, -1)[np.arange(64), np.arange(64) * 6] = np.nan
    peaks, scores = heatmap_peaks(maps)
    np.testing.assert_array_equal(peaks[:, 0] + 48 * peaks[:, 1], np.arange(64) * 6)
    assert np.isnan(scores).all()


@in_each_mode
def test_infinite_heatmaps():
    maps = np.full((3, 20, 20), -np.inf, np.float32)
    maps[1, 17, 2] = maps[1, 17, 5] = np.inf
    maps[2, 19, 19] = 1
    peaks, scores = heatmap_peaks(maps)
    assert peaks.tolist() == [[-1, -1], [2, 17], [19, 19]]
    assert scores.tolist() == [-np.inf, np.inf, 1]


@in_each_mode
def test_first_of_equal_peaks():
    """In row order."""
    maps = torch.zeros(2, 3, 4, 5)
    maps[0, 0, 2, 1] = maps[0, 0, 1, 3] = maps[0, 0, 3, 0] = 7
    maps[1, 2, 3, 4] = maps[1, 2, 3, 2] = 7
    peaks, scores = heatmap_peaks(maps)
    assert peaks[0, 0].tolist() == [3, 1]
    assert peaks[1, 2].tolist() == [2, 3]
    assert scores.tolist() == [[7, 0, 0], [0, 0, 7]]


@in_each_mode
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    maps = torch.rand((2, 3, 16, 12), generator=torch.Generator().manual_seed(0)).to(dtype)
    peaks, scores = heatmap_peaks(maps)
    expected, values = heatmap_peaks(maps.double())
    assert peaks.dtype == torch.float32
    assert scores.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(peaks, expected)
    assert torch.equal(scores.double(), values)


@needs_gpu
def test_same_on_the_device():
    maps = torch.randint(0, 3, (5, 17, 64, 48), generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(heatmap_peaks(maps.float().cuda()), heatmap_peaks(maps.float())):
        assert ours.is_cuda
        assert torch.equal(ours.cpu(), theirs)
