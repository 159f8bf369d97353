"""`hrnet-plugin export`, and what `predict` does with the file."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from support.paths import ROOT
from support.random_models import POSE
from support.shell import exit_code

from hrnet_plugin.commands import export
from hrnet_plugin.commands.cli import main

pytest.importorskip('onnx')
POSE_MODEL = ['--config', POSE]
DET = ['--det', 'rtmdet.py', '--det-out']


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


def test_detector(
    small_detector: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is exported beside a pose model or alone."""
    exported_poses: list[tuple[Any, ...]] = []
    monkeypatch.setattr('hrnet_plugin.apis.export_files', lambda *a, **_: exported_poses.append(a))
    cfg = Config.fromfile(small_detector[0])
    cfg.test_dataloader.dataset.pipeline[2] = dict(type='Pad', size=(64, 64))
    cfg.dump(tmp_path / 'fixed.py')
    out = tmp_path / 'detector.onnx'
    command = ['export', '--det', str(tmp_path / 'fixed.py'), '--det-weights', small_detector[1]]
    pose = ['--config', POSE, '--weights', 'pose.pth', '--out', str(tmp_path / 'pose.onnx')]
    assert main([*command, '--det-out', str(out), *pose]) == 0
    printed = capsys.readouterr().out
    assert f'{out}: RTMDet with ResNet and RTMDetSepBNHead, ' in printed
    assert 'largest difference between ONNX Runtime and MMDetection for ' in printed
    assert exported_poses == [(POSE, 'pose.pth', pose[-1])]
    assert out.is_file()

    assert main([*command, '--det-out', str(out)]) == 2
    assert 'exists already: give another name or --overwrite' in capsys.readouterr().err
    assert len(exported_poses) == 1


def test_exported_detector_predicts(
    weights: Path,
    small_detector: tuple[str, str],
    exported_detector: Path,
    folder: Path,
    tmp_path: Path,
) -> None:
    pose = ['--config', POSE, '--weights', str(weights / 'pose.pth'), '--device', 'cpu']
    detectors = (
        ['--det', small_detector[0], '--det-weights', small_detector[1]],
        ['--det', str(exported_detector)],
        ['--det', str(exported_detector), '--runtime', 'openvino'],
    )
    results = []
    for number, detector in enumerate(detectors):
        out = tmp_path / f'out{number}'
        command = ['predict', str(folder), *pose, *detector, '--out', str(out)]
        assert main([*command, '--bbox-thr', '0.25']) == 0
        results.append(json.loads((out / 'results.json').read_text()))
    by_torch = results[0]
    assert len(by_torch) >= 4
    for found in results[1:]:
        assert [r['file_name'] for r in found] == [r['file_name'] for r in by_torch]
        for name in ('bbox', 'score'):
            np.testing.assert_allclose(
                *([r[name] for r in rows] for rows in (found, by_torch)), atol=0.1
            )


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'nothing to export: give a pose model with --config, --weights and --out, a detec'),
        ([*DET, 'd.onnx', '--out', 'pose.onnx'], '--out is for the model of --config: give it, '),
        ([*DET, 'd.onnx', '--no-normalize'], '--no-normalize is for the model of --config: give'),
        (
            [*POSE_MODEL, '--out', 'pose.pth'],
            'is not the name of an exported model; expected *.onnx or *.xml',
        ),
        (
            [*POSE_MODEL, '--out', 'pose.onnx', '--format', 'openvino'],
            'of openvino; expected *.xml',
        ),
        (
            [*POSE_MODEL, '--out', 'pose.onnx', '--int8'],
            '--int8 needs --calibrate FOLDER|COCO.json',
        ),
        (
            [*POSE_MODEL, '--out', 'pose.onnx', '--calibrate', 'images'],
            '--calibrate is for --int8',
        ),
        (
            [*POSE_MODEL, '--out', 'pose.onnx', '--half', '--int8'],
            'not allowed with argument --half',
        ),
        ([*POSE_MODEL, '--out', 'pose.onnx', '--flip-tst'], "did you mean '--flip-test'"),
        (POSE_MODEL, '--out is missing: give the file to write the model of --config to'),
        (
            [*POSE_MODEL, '--out', 'pose.onnx', '--det', 'rtmdet.py'],
            '--det-out is missing: give the file to',
        ),
        (
            [*POSE_MODEL, '--out', 'pose.onnx', '--det-weights', 'd.pth'],
            '--det-weights is for the model of --',
        ),
        (
            [*POSE_MODEL, '--out', 'pose.onnx', *DET, 'd.xml'],
            'd.xml is not the name of an exported detector; ',
        ),
        (
            [*POSE_MODEL, '--out', 'pose.onnx', *DET, './pose.onnx'],
            '--out and --det-out are both pose.onnx',
        ),
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
    assert exit_code(['export', *arguments]) == 2
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
