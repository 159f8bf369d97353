"""Windows by hand and against loops; tests/models/backbones compare with MMPose."""

import itertools

import pytest
import torch

from hrnet_plugin.functional import relative_position_index, window_merge, window_partition

SIZES = [(7, 7), (14, 21), (10, 14), (14, 10), (9, 16), (1, 1), (3, 30), (64, 48)]


@pytest.mark.parametrize('window', [(7, 7), (4, 4), (2, 5)])
@pytest.mark.parametrize('size', SIZES)
class TestInverse:
    def test_merge_undoes_partition(self, size, window):
        x = torch.rand(3, *size, 2)
        assert torch.equal(window_merge(window_partition(x, window), window, size), x)

    def test_partition_undoes_merge_of_real_tokens(self, size, window):
        """Padding is lost on the way, nothing else is."""
        real = window_partition(torch.ones(1, *size, 1), window)
        windows = torch.rand(3 * len(real), window[0] * window[1], 2)
        again = window_partition(window_merge(windows, window, size), window)
        assert torch.equal(again, windows * real.repeat(3, 1, 1))

    def test_each_token_has_its_window_and_each_window_a_token(self, size, window):
        real = window_partition(torch.ones(1, *size, 1), window)
        assert real.sum() == size[0] * size[1]
        assert real.sum(1).min() >= 1


def test_partition_by_hand():
    """5x3 tokens numbered from 1, windows of 2x2: one row goes below, one column to the right."""
    x = torch.arange(1, 16).reshape(1, 5, 3, 1)
    windows = window_partition(x, (2, 2)).squeeze(-1)
    assert windows.tolist() == [
        [1, 2, 4, 5],
        [3, 0, 6, 0],
        [7, 8, 10, 11],
        [9, 0, 12, 0],
        [13, 14, 0, 0],
        [15, 0, 0, 0],
    ]


def test_padding_is_centred():
    """2 tokens in a window of 7 have 2 before and 3 behind; 4 have 1 before and 2 behind."""
    window = window_partition(torch.ones(1, 2, 4, 1), (7, 7)).reshape(7, 7)
    expected = torch.zeros(7, 7)
    expected[2:4, 1:5] = 1
    assert torch.equal(window, expected)


def test_samples_stay_together():
    x = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 6, 9, 1)
    windows = window_partition(x, (3, 3))
    assert windows.shape == (4 * 6, 9, 1)
    assert windows.reshape(4, -1).unique(dim=1).flatten().tolist() == [0, 1, 2, 3]


def test_relative_positions_by_hand():
    """Window of 1x3: a key 2 to the right of the query is offset 0, 2 to the left offset 4."""
    assert relative_position_index((1, 3)).tolist() == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]


@pytest.mark.parametrize('window', [(7, 7), (2, 3)])
def test_relative_positions_have_a_number_for_each_offset(window):
    h, w = window
    tokens = list(itertools.product(range(h), range(w)))
    offsets = sorted({(qy - ky, qx - kx) for qy, qx in tokens for ky, kx in tokens})
    expected = [[offsets.index((qy - ky, qx - kx)) for ky, kx in tokens] for qy, qx in tokens]
    assert relative_position_index(window).tolist() == expected
