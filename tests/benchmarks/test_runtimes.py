"""benchmarks/runtimes.py runs with small networks, and has a row for each runtime."""

import subprocess
import sys

import pytest
from support.paths import ROOT

ROWS = ('stock channels last', 'ours eager', 'ONNX Runtime float32', 'OpenVINO float32')


@pytest.mark.slow
def test_small_networks() -> None:
    for name in ('onnx', 'onnxruntime', 'onnxscript', 'openvino'):
        pytest.importorskip(name)
    models = ['small HRNet', 'small LiteHRNet', 'small HRFormer']
    command = [sys.executable, '-W', 'ignore', 'benchmarks/runtimes.py', '--models', *models]
    options = ['--batch-sizes', '2', '--repeats', '1']
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(done.stdout.count(f'\n{name}:\n') == 1 for name in models)
    for row in ROWS:
        lines = [line for line in done.stdout.splitlines() if line.startswith(f'| 2     | {row} ')]
        assert len(lines) == 3
        for line in lines:
            cells = [cell.strip() for cell in line.strip('|').split('|')]
            assert float(cells[4]) > 0
            assert float(cells[6]) < 1e-4
