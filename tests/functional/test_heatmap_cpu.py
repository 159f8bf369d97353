"""Compiled code against torch's; the tests of drawing and reading run with both."""

import subprocess
import sys
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
import torch
from test_heatmap_decode import every_decoder, heatmap_cases
from test_heatmap_encode import every_encoder
from ways import choose

from hrnet_plugin.functional import decode_dark, encode_udp, heatmap_cpu


@pytest.mark.parametrize('case', heatmap_cases())
@every_decoder
def test_reads_what_torch_reads(monkeypatch, decode, case):
    maps = heatmap_cases()[case].astype(np.float32)
    choose('compiled', monkeypatch)
    keypoints, scores = decode(maps)
    choose('torch', monkeypatch)
    expected, values = decode(maps)
    np.testing.assert_allclose(keypoints, expected, rtol=1e-6, atol=2e-5)
    np.testing.assert_array_equal(scores, values)


@pytest.mark.parametrize('sigma', [0.1, 0.7, 2, 2.4, 3, 40, (2.0, 1.5, 0.4)])
@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
@every_encoder
def test_draws_what_torch_draws(monkeypatch, encode, dtype, sigma):
    generator = torch.Generator().manual_seed(0)
    keypoints = 90 * torch.rand((300, 3, 2), generator=generator).to(dtype) - 20
    keypoints[::2] = keypoints[::2].round() + 0.5
    keypoints[0] = torch.tensor([[np.nan, 3], [3, np.inf], [-np.inf, 1e30]])
    visible = torch.rand((300, 3), generator=generator)
    sigma = torch.tensor(sigma) if isinstance(sigma, tuple) else sigma
    choose('compiled', monkeypatch)
    maps, weights = encode(keypoints, visible, (48, 64), sigma)
    choose('torch', monkeypatch)
    expected, values = encode(keypoints, visible, (48, 64), sigma)
    torch.testing.assert_close(maps, expected, rtol=0, atol=4e-7)
    assert torch.equal(weights, values)


def test_any_number_of_threads():
    """And there is work for several."""
    maps = torch.randn((4, 17, 64, 48), generator=torch.Generator().manual_seed(0))
    keypoints, visible = 50 * maps[:, :, :2, 0], torch.ones(4, 17)
    assert maps.numel() > heatmap_cpu.PIXELS_PER_THREAD
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append((*decode_dark(maps), *encode_udp(keypoints, visible, (48, 64), 2)))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


@pytest.mark.parametrize('count', [0, 1])
def test_nobody(monkeypatch, count):
    """No person, or one without keypoints."""
    for way in ('compiled', 'torch'):
        choose(way, monkeypatch)
        keypoints, visible = torch.zeros(count, 0, 2), torch.zeros(count, 0)
        maps, weights = encode_udp(keypoints, visible, (48, 64), 2)
        assert (maps.shape, weights.shape) == ((count, 0, 64, 48), (count, 0))


def test_is_left_out_where_it_is_of_no_use(monkeypatch):
    single, double = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.float64)
    assert heatmap_cpu.can_read(single)
    assert not heatmap_cpu.can_read(double)
    assert heatmap_cpu.can_draw(double, (48, 64))
    assert not heatmap_cpu.can_draw(single[:0], (48, 64))
    assert not heatmap_cpu.can_draw(single.to('meta'), (48, 64))
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    assert not heatmap_cpu.can_read(single)


def test_no_stack_is_too_small():
    """For what is far too large, there is torch."""
    row = torch.zeros(1, 1, 1, 3_000_000)
    row[..., 2_000_000] = 1
    assert decode_dark(row)[0].tolist() == [[[2_000_000, 0]]]
    column, _ = encode_udp(torch.tensor([[[0.0, 2e6]]]), torch.ones(1, 1), (1, 3_000_000), 2)
    assert column.flatten().argmax() == 2_000_000
    square = torch.zeros(1, 1, 64, 48)
    square[..., 30, 20] = 1
    np.testing.assert_allclose(decode_dark(square, 2001)[0], [[[20, 30]]], atol=0.1)


def test_what_cannot_be_loaded_is_left_out(monkeypatch, tmp_path):
    assert heatmap_cpu.load() is not None
    with monkeypatch.context() as context:
        context.setattr(heatmap_cpu, 'INTERFACE_VERSION', -1)
        assert heatmap_cpu.load() is None
    broken = tmp_path / 'broken.so'
    broken.write_bytes(b'built on another machine')
    for spec in (None, ModuleSpec('_heatmap_cpu', None, origin=str(broken))):
        monkeypatch.setattr(heatmap_cpu, 'find_spec', lambda name, spec=spec: spec)
        assert heatmap_cpu.load() is None


def test_workers_draw_after_their_parent_has():
    """Threads do not come along when a process is forked: a worker must do without."""
    code = """
import torch
from torch.utils.data import DataLoader
from hrnet_plugin.functional import encode_udp

torch.set_num_threads(2)
draw = lambda i: encode_udp(torch.full((64, 17, 2), float(i)), torch.ones(64, 17), (48, 64), 2)[0]
draw(1)

class People:
    __len__ = lambda self: 4
    __getitem__ = lambda self, i: draw(i).sum() if i < 4 else [][i]

print(torch.cat(list(DataLoader(People(), num_workers=2))).min().item() > 0)
"""
    run = [sys.executable, '-W', 'ignore', '-c', code]
    assert subprocess.run(run, stdout=subprocess.PIPE, text=True, timeout=300).stdout == 'True\n'
