"""`hrnet-plugin bench`: what it asks for and prints; its timings are tested with the apis."""

import sys
from pathlib import Path
from typing import Any

import pytest
from support.shell import exit_code

from hrnet_plugin.apis import Benchmark, RuntimeTiming
from hrnet_plugin.commands.cli import main

CALLS: list[tuple[Any, ...]] = []


def stand_in(model: Any, weights: Any, *, report: Any, **options: Any) -> Benchmark:
    CALLS.append((model, weights, options))
    report('timing')
    return Benchmark('a model', 3, [RuntimeTiming('a runtime', 1, 0.5, 0.4, 0.6, 1.0)], ['b'])


@pytest.mark.parametrize(
    ('arguments', 'model', 'weights', 'options'),
    [
        (['pose.onnx'], 'pose.onnx', None, dict(batch_sizes=[1, 16], threads=None, repeats=5)),
        (
            [
                '--config',
                'c',
                '--weights',
                'w',
                *('--batch-sizes', '4', '--threads', '2', '--repeats', '3'),
            ],
            'c',
            'w',
            dict(batch_sizes=[4], threads=2, repeats=3),
        ),
    ],
)
def test_prints_a_table(
    arguments: list[str],
    model: str,
    weights: str | None,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr('hrnet_plugin.apis.benchmark_model', stand_in)
    assert main(['bench', *arguments]) == 0
    assert CALLS.pop() == (model, weights, options)
    printed = capsys.readouterr()
    title, machine, _, *table, _, missing = printed.out.splitlines()
    assert title == 'a model'
    assert machine.endswith('; threads: 3')
    assert table[0] == (
        '| batch | runtime   | ms  | lowest to highest | images/s | times as fast |'
    )
    assert table[2] == (
        '| 1     | a runtime | 500 | 400 to 600        | 2        | 1             |'
    )
    assert missing == 'not timed: b'
    assert printed.err == 'timing\n'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'nothing to time: give an exported model'),
        (['pose.onnx', '--config', 'c'], 'MODEL and --config are two models'),
        (['pose.onnx', '--weights', 'w'], '--weights is missing its --config'),
        (['pose.pth'], 'pose.pth is not the name of an exported model, *.onnx or *.xml'),
        (['pose.onnx', '--threads', '0'], "'0' is not a whole number of 1 or more"),
        (['none.onnx'], 'none.onnx: there is no such file'),
    ],
)
def test_wrong_usage(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(['bench', *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_runtime_comes_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    monkeypatch.setitem(sys.modules, 'openvino', None)
    monkeypatch.chdir(tmp_path)
    assert main(['bench', 'pose.onnx']) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == 'hrnet-plugin: error: pose.onnx needs ONNX Runtime: pip install onnxruntime'
