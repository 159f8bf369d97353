"""docs/training.md, as pasted."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.paths import ROOT
from support.shell import run

DOC = (ROOT / 'docs/training.md').read_text()
COMMANDS = re.findall(r'```sh\n(.*?)```', DOC, flags=re.DOTALL)
WORK_DIR = 'work_dirs/kites_w18'


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all commands of the document in a folder."""
    folder = tmp_path_factory.mktemp('training')
    (folder / 'demo').symlink_to(ROOT / 'demo')
    for code in COMMANDS:
        (folder / 'said').open('a').write(run(f'set -e\n{code}', cwd=folder))
    return folder


def test_is_short() -> None:
    assert len(COMMANDS) >= 3
    assert len(DOC.splitlines()) <= 100


@pytest.mark.slow
def test_training_ends_with_a_good_ap(folder: Path) -> None:
    metrics = json.loads((folder / WORK_DIR / 'evaluation.json').read_text())
    assert metrics['coco/AP'] > 0.5
    assert f'AP       {metrics["coco/AP"]:.3f}' in (folder / 'said').read_text()
    history = json.loads((folder / WORK_DIR / 'history.json').read_text())
    assert [row['epoch'] for row in history] == list(range(1, 21))


@pytest.mark.slow
def test_predicts_from_the_work_folder(folder: Path) -> None:
    results = json.loads((folder / 'kites_predicted/results.json').read_text())
    predicted = {result['image_id']: result['keypoints'] for result in results}
    content = json.loads((folder / 'kites/annotations/val.json').read_text())
    assert len(predicted) == len(content['images'])
    assert cv2.imread(str(folder / 'kites_predicted/1001.jpg')) is not None
    errors = []
    for annotation in content['annotations']:
        both = (predicted[annotation['image_id']], annotation['keypoints'])
        points, expected = (np.reshape(keypoints, (5, 3))[:, :2] for keypoints in both)
        errors.append(np.linalg.norm(points - expected, axis=1))
    assert np.median(errors) < 4  # of 160 pixels


@pytest.mark.slow
def test_exports(folder: Path) -> None:
    assert (folder / 'kites.onnx').stat().st_size > 1e6


@pytest.mark.slow
def test_two_processes(folder: Path) -> None:
    """They end with one result, and the config knows both."""
    work_dir = folder / 'work_dirs/kites_two'
    assert 'coco/AP' in json.loads((work_dir / 'evaluation.json').read_text())
    assert json.loads((work_dir / 'training.json').read_text())['machine']['processes'] == 2
    assert 'in each of 2 processes' in (folder / 'said').read_text()


@pytest.mark.slow
def test_the_config_trains_by_itself(folder: Path, tmp_path: Path) -> None:
    """From any folder, with the tool of MMPose and with ours."""
    config = folder / WORK_DIR / 'config.py'
    text = config.read_text()
    for package in ('mmpose', 'hrnet_plugin'):
        run(
            f'mim train {package} {config} --work-dir {package} --cfg-options '
            'train_cfg.max_epochs=1 train_dataloader.dataset.indices=16 '
            'param_scheduler.1.milestones="[1]"',
            cwd=tmp_path,
        )
        assert (tmp_path / package / 'epoch_1.pth').exists()
    assert config.read_text() == text
