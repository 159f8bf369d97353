"""NumPy arrays instead of tensors, cached constants."""

import numpy as np
import pytest
import torch

from hrnet_plugin.functional import encode_udp, heatmap_peaks
from hrnet_plugin.functional.heatmaps import tensors


def test_arrays_by_name():
    peaks, _ = heatmap_peaks(heatmaps=np.eye(3, dtype=np.float32))
    assert isinstance(peaks, np.ndarray)
    assert peaks.tolist() == [0, 0]


def test_first_parameter_decides_between_arrays_and_tensors():
    """In whatever order the arguments are named."""
    keypoints, visible = np.full((2, 3, 2), 4.0), np.ones((2, 3))
    others = dict(heatmap_size=(12, 8), sigma=np.full(3, 2.0))
    in_arrays = encode_udp(**others, visible=visible, keypoints=keypoints)
    in_tensors = encode_udp(
        sigma=others['sigma'],
        heatmap_size=others['heatmap_size'],
        visible=torch.tensor(visible),
        keypoints=torch.tensor(keypoints),
    )
    for array, tensor in zip(in_arrays, in_tensors):
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
    monkeypatch.setattr(tensors, 'MAX_CACHED', 3)
    made = []

    @tensors.cached
    def constant(value):
        made.append(value)
        return torch.tensor(value)

    for value in (1, 2, 3, 1, 4, 1, 3, 2):
        assert constant(value) == value
    assert made == [1, 2, 3, 4, 2]


def test_constants_of_inference_mode_serve_autograd():
    @tensors.cached
    def two():
        return torch.tensor(2.0)

    with torch.inference_mode():
        two()
    x = torch.ones((), requires_grad=True)
    (x * two()).backward()
    assert x.grad == 2
