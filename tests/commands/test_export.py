"""`hrnet-plugin export`, and what `predict` does with the file."""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.paths import ROOT
from support.random_models import POSE

from hrnet_plugin.commands import export
from hrnet_plugin.commands.cli import main

pytest.importorskip('onnx')


def test_exported_model_predicts(
    weights: Path, exported: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    results = []
    for options in (
        ['--config', POSE, '--weights', str(weights / 'pose.pth')],
        ['--weights', str(exported)],
    ):
        out = tmp_path / f'out{len(results)}'
        command = ['predict', str(folder), *options, '--det', 'whole_image', '--out', str(out)]
        assert main([*command, '--device', 'cpu']) == 0
        results.append(json.loads((out / 'results.json').read_text()))
    by_torch, by_onnx = results
    assert len(by_torch) == len(by_onnx) == 4
    for a, b in zip(by_torch, by_onnx):
        assert a['file_name'] == b['file_name']
        np.testing.assert_allclose(a['keypoints'], b['keypoints'], atol=0.05)


def test_writes_a_file_and_says_how_far_it_is_from_pytorch(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / 'new' / 'pose.onnx'
    options = ['--config', POSE, '--weights', str(weights / 'pose.pth'), '--out', str(out)]
    assert main(['export', *options, '--outputs', 'heatmaps', '--no-flip-test']) == 0
    assert out.stat().st_size > 4e6
    printed = capsys.readouterr().out
    assert printed.startswith(f'{out}: HRNet and HeatmapHead, ')
    assert 'largest difference between ONNX Runtime and PyTorch on 8 crops' in printed

    assert main(['export', *options]) == 2
    assert 'exists already: give another name or --overwrite' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('suffix', ['.onnx', '.xml'])
@pytest.mark.parametrize('precision', ['half', 'int8'])
def test_reduced_precision_predicts(
    weights: Path,
    folder: Path,
    tmp_path: Path,
    precision: str,
    suffix: str,
    capsys: pytest.CaptureFixture,
) -> None:
    out = tmp_path / f'pose{suffix}'
    options = ['--config', POSE, '--weights', str(weights / 'pose.pth'), '--out', str(out)]
    options += ['--half'] if precision == 'half' else ['--int8', '--calibrate', str(folder)]
    assert main(['export', *options]) == 0
    assert f'{out}: HRNet and HeatmapHead, ' in capsys.readouterr().out
    results = []
    for number, model in enumerate((['--config', POSE, *options[2:4]], ['--weights', str(out)])):
        folder_out = tmp_path / f'out{number}'
        command = ['predict', str(folder), *model, '--det', 'whole_image', '--device', 'cpu']
        assert main([*command, '--out', str(folder_out)]) == 0
        found = json.loads((folder_out / 'results.json').read_text())
        results.append(np.array([instance['keypoints'] for instance in found]).reshape(-1, 17, 3))
    by_torch, found = results
    span = np.ptp(by_torch[..., 2])
    assert (
        np.abs(found[..., 2] - by_torch[..., 2]).max()
        < (0.01 if precision == 'half' else 0.5) * span
    )


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--out', 'pose.pth'], 'is not the name of an exported model; expected *.onnx or *.xml'),
        (['--out', 'pose.onnx', '--format', 'openvino'], 'of openvino; expected *.xml'),
        (['--out', 'pose.onnx', '--int8'], '--int8 needs --calibrate FOLDER|COCO.json'),
        (['--out', 'pose.onnx', '--calibrate', 'images'], '--calibrate is for --int8'),
        (['--out', 'pose.onnx', '--half', '--int8'], 'not allowed with argument --half'),
        (['--out', 'pose.onnx', '--flip-tst'], "did you mean '--flip-test'"),
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
    try:
        code = main(['export', '--config', POSE, *arguments])
    except SystemExit as error:
        code = error.code  # type: ignore[assignment]
    assert code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_documented_options() -> None:
    """docs/export.md has a row for each option but those that the README's commands show."""
    parser = argparse.ArgumentParser(add_help=False)
    export.add(parser)
    options = {o for action in parser._actions for o in action.option_strings}
    table = (ROOT / 'docs' / 'export.md').read_text().split('| --- |')[1].split('\n\n')[0]
    shown = set(re.findall(r'--[a-z][a-z0-9-]*', re.sub(r'\|[^|]*\|$', '', table, flags=re.M)))
    assert options - shown == {'--config', '--weights', '--out'}
    assert shown <= options
