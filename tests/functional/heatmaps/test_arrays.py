"""Peaks by hand, NumPy arrays instead of tensors, cached constants."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.gpu import needs_gpu

from hrnet_plugin.functional import encode_udp, heatmap_peaks
from hrnet_plugin.functional.heatmaps import arrays


@pytest.fixture(params=[False, True], ids=['eager', 'compiling'])
def each_mode(request, monkeypatch):
    """Where the values of a tensor on the CPU can be read, and where they cannot."""
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: request.param)


in_each_mode = pytest.mark.usefixtures('each_mode')


@in_each_mode
def test_peak_of_nothing_is_minus_one():
    maps = np.stack([np.zeros((4, 5)), np.full((4, 5), -1), np.full((4, 5), 2)])
    peaks, scores = heatmap_peaks(maps.astype(np.float32))
    assert peaks.tolist() == [[-1, -1], [-1, -1], [0, 0]]
    assert scores.tolist() == [0, -1, 2]


@in_each_mode
@pytest.mark.parametrize('size', [(1, 1), (1, 7), (5, 3), (16, 16), (16, 17), (64, 48), (33, 31)])
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


def test_arrays_by_name():
    peaks, _ = heatmap_peaks(heatmaps=np.eye(3, dtype=np.float32))
    assert isinstance(peaks, np.ndarray)
    assert peaks.tolist() == [0, 0]


def test_first_parameter_decides_between_arrays_and_tensors():
    """In whatever order the arguments are named."""
    keypoints, visible = np.full((2, 3, 2), 4.0), np.ones((2, 3))
    others = dict(heatmap_size=(12, 8), sigma=np.full(3, 2.0))
    arrays = encode_udp(**others, visible=visible, keypoints=keypoints)
    tensors = encode_udp(
        sigma=others['sigma'],
        heatmap_size=others['heatmap_size'],
        visible=torch.tensor(visible),
        keypoints=torch.tensor(keypoints),
    )
    for array, tensor in zip(arrays, tensors):
        assert isinstance(array, np.ndarray)
        assert isinstance(tensor, torch.Tensor)
        np.testing.assert_array_equal(array, tensor)
    with pytest.raises(TypeError, match="'keypoints'"):
        encode_udp(visible=visible, **others)


def test_arrays_that_torch_cannot_share():
    maps = np.zeros((1, 1, 4, 5), np.float32)
    maps[0, 0, 1, 3] = 2
    maps.flags.writeable = False
    peaks, scores = heatmap_peaks(maps[..., ::-1])
    assert [type(v) for v in (peaks, scores)] == [np.ndarray] * 2
    assert peaks.tolist() == [[[1, 1]]]


def test_least_recently_used_constants_are_evicted(monkeypatch):
    monkeypatch.setattr(arrays, 'MAX_CACHED', 3)
    made = []

    @arrays.cached
    def constant(value):
        made.append(value)
        return torch.tensor(value)

    for value in (1, 2, 3, 1, 4, 1, 3, 2):
        assert constant(value) == value
    assert made == [1, 2, 3, 4, 2]


def test_constants_of_inference_mode_serve_autograd():
    @arrays.cached
    def two():
        return torch.tensor(2.0)

    with torch.inference_mode():
        two()
    x = torch.ones((), requires_grad=True)
    (x * two()).backward()
    assert x.grad == 2


def test_functional_imports_no_openmmlab():
    """Nor OpenCV, nor anything of the package beside it but how files are read."""
    modules = set()
    for path in Path(arrays.__file__).parent.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                dots = '.' * node.level
                modules.add(dots if dots == '.' else f'{dots}{node.module}')
    names = {module.split('.')[0] if module[0] != '.' else module for module in modules}
    assert names - sys.stdlib_module_names == {'.', '..utils.json_files', 'numpy', 'torch'}


@needs_gpu
def test_same_on_the_device():
    maps = torch.randint(0, 3, (5, 17, 64, 48), generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(heatmap_peaks(maps.float().cuda()), heatmap_peaks(maps.float())):
        assert ours.is_cuda
        assert torch.equal(ours.cpu(), theirs)
