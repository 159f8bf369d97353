"""Timings of a model in each runtime: that they are there, not what they are."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.random_models import POSE

from hrnet_plugin.apis import Benchmark, benchmark_model
from hrnet_plugin.apis.inference import benchmark
from hrnet_plugin.apis.inference.export import rendered_crops
from hrnet_plugin.environment.cpu import cpu_name

pytest.importorskip('onnxruntime')
QUICK: dict[str, Any] = dict(threads=1, repeats=1)


def names(result: Benchmark) -> list[str]:
    return [timing.runtime for timing in result.timings]


def assert_complete(result: Benchmark, batch_sizes: list[int]) -> None:
    """Each runtime has a timing for each batch size, and a row."""
    count = len(result.timings) // len(batch_sizes)
    assert [t.batch_size for t in result.timings] == [b for b in batch_sizes for _ in range(count)]
    assert names(result) == names(result)[:count] * len(batch_sizes)
    for i, timing in enumerate(result.timings):
        assert 0 < timing.lowest <= timing.seconds <= timing.highest
        assert timing.images_per_second == timing.batch_size / timing.seconds
        assert timing.ratio == 1 if i % count == 0 else timing.ratio > 0
        assert f'| {timing.batch_size}     | {timing.runtime} ' in str(result)
    assert f'\n{cpu_name()}, ' in str(result)
    assert str(result).count('\n| ') == 2 + len(result.timings)


def test_exported_file(exported: Path) -> None:
    said: list[str] = []
    before = torch.get_num_threads()
    options: dict[str, Any] = dict(QUICK, threads=before + 1, report=said.append)
    result = benchmark_model(exported, batch_sizes=[1, 2], **options)
    assert torch.get_num_threads() == before
    assert_complete(result, [1, 2])
    assert names(result)[0] == 'ONNX Runtime float32'
    assert str(result).startswith(f'{exported}: HRNet and HeatmapHead, 96x128, float32, with flip')
    assert len(said) == 3


def test_config_runs_in_pytorch_too(
    exported: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, 'export_files', lambda m, w, path: shutil.copy(exported, path))
    monkeypatch.setattr(benchmark, 'has_bfloat16', lambda: True)
    runs = {}
    prepare_torch = benchmark.prepare_torch

    def keep(graph: Any, bfloat16: bool, crops: np.ndarray) -> Any:
        runs[bfloat16] = prepare_torch(graph, bfloat16, crops)
        return runs[bfloat16]

    monkeypatch.setattr(benchmark, 'prepare_torch', keep)
    result = benchmark_model(POSE, str(weights / 'pose.pth'), batch_sizes=[2], **QUICK)
    assert_complete(result, [2])
    assert names(result)[:3] == ['PyTorch float32', 'PyTorch bfloat16', 'ONNX Runtime float32']
    assert str(result).startswith(f'{POSE}: HRNet and HeatmapHead, 96x128, float32, with flip')

    # All compute the same.
    [(_, onnx_runtime), *_], _ = benchmark.open_installed(exported)
    keypoints, scores = onnx_runtime.run(np.stack(rendered_crops((96, 128))[:2]))
    by_torch = [output.numpy() for output in runs[False]()]
    np.testing.assert_allclose(by_torch[0], keypoints, atol=0.05)
    np.testing.assert_allclose(by_torch[1], scores, atol=1e-4)
    reduced = runs[True]()[1].numpy()
    np.testing.assert_allclose(reduced, scores, atol=0.1 * np.abs(scores).max())
    assert np.abs(reduced - scores).max() > 1e-4


def test_what_is_missing_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    monkeypatch.setattr(benchmark, 'has_bfloat16', lambda: False)
    result = benchmark_model(POSE, str(weights / 'pose.pth'), batch_sizes=[1], **QUICK)
    assert names(result) == ['PyTorch float32']
    assert str(result).splitlines()[-2:] == [
        'not timed: PyTorch bfloat16 needs a processor that computes in it',
        'not timed: exporting needs onnxscript: pip install onnx onnxscript onnxruntime',
    ]


def test_medians_and_spread() -> None:
    rounds = [(0.4, 0.1), (0.2, 0.2), (0.3, 0.1)]
    first, second = benchmark.summarize(['a', 'b'], 8, rounds)
    assert first == benchmark.RuntimeTiming('a', 8, 0.3, 0.2, 0.4, 1)
    assert (second.seconds, second.lowest, second.highest) == (0.1, 0.1, 0.2)
    assert second.ratio == pytest.approx(3)  # of 4, 1 and 3
    assert second.images_per_second == pytest.approx(80)


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'pose\.pth is a checkpoint; expected an exported model'):
        benchmark_model(str(tmp_path / 'pose.pth'))
    with pytest.raises(FileNotFoundError, match=r'none\.onnx: there is no such file'):
        benchmark_model(tmp_path / 'none.onnx')
    with pytest.raises(ValueError, match=r'batch_sizes is \[1, 0\]; expected 1 or more'):
        benchmark_model('pose.onnx', batch_sizes=[1, 0])
    with pytest.raises(ValueError, match=r'repeats is \[0\]; expected 1 or more'):
        benchmark_model('pose.onnx', repeats=0)
