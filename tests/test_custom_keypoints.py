"""docs/custom_keypoints.md, as pasted."""

import json
import re
import sys
from pathlib import Path

import cv2
import pytest
from mmengine.config import Config
from mmpose.registry import DATASETS
from mmpose.utils import register_all_modules
from support.paths import ROOT
from support.shell import run

from hrnet_plugin.commands.cli import main

DOC = (ROOT / 'docs/custom_keypoints.md').read_text()
EXAMPLES = re.findall(r'```(\w+)\n(.*?)```', DOC, flags=re.DOTALL)


def command_lines(word: str) -> str:
    """Return the command lines of the document that start with a word."""
    (lines,) = (code for language, code in EXAMPLES if language == 'sh' and code.startswith(word))
    return lines


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all examples of the document in a folder."""
    folder = tmp_path_factory.mktemp('kites')
    (folder / 'demo').symlink_to(ROOT / 'demo')
    for language, code in EXAMPLES:
        named = re.match(r'# (\w+\.py)', code)
        if named:
            (folder / named[1]).write_text(code)
        elif language == 'sh':
            (folder / 'said').open('a').write(run(f'set -e\n{code}', cwd=folder))
        elif 'import' in code:
            (folder / 'keypoints').write_text(run([sys.executable, '-c', code], cwd=folder))
    return folder


def test_config_is_short() -> None:
    (config,) = (code for _, code in EXAMPLES if code.startswith('# kites.py'))
    assert 10 < len(config.splitlines()) < 30


def test_config_gives_the_model_what_the_dataset_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'demo').symlink_to(ROOT / 'demo')
    run(command_lines('python demo'), cwd=tmp_path)
    assert main(command_lines('hrnet-plugin').split()[1:]) == 0
    (code,) = (code for _, code in EXAMPLES if code.startswith('# kites.py'))
    (tmp_path / 'kites.py').write_text(code)
    register_all_modules()
    config = Config.fromfile('kites.py')
    dataset = DATASETS.build(dict(config.train_dataloader.dataset, indices=4))
    assert dataset.metainfo['num_keypoints'] == config.model.head.out_channels == 5
    assert dataset.metainfo['flip_indices'] == [0, 2, 1, 3, 4]
    assert dataset[0]['data_samples'].gt_instance_labels.keypoint_weights.shape == (1, 5)


@pytest.mark.slow
def test_training_ends_with_a_good_ap(folder: Path) -> None:
    (ap,) = re.findall(r'Epoch\(val\).*coco/AP: (\S+)', (folder / 'said').read_text())
    assert float(ap) > 0.5


@pytest.mark.slow
def test_predicts_the_keypoints_of_a_kite(folder: Path) -> None:
    predicted = json.loads((folder / 'keypoints').read_text().splitlines()[-1])
    annotations = json.loads((folder / 'kites/annotations/val.json').read_text())['annotations']
    (truth,) = (a['keypoints'] for a in annotations if a['image_id'] == 1001)
    expected = [truth[3 * k : 3 * k + 2] for k in range(5)]
    distances = [
        ((a - x) ** 2 + (b - y) ** 2) ** 0.5 for (a, b), (x, y) in zip(predicted, expected)
    ]
    assert max(distances) < 10  # of 160 pixels
    assert cv2.imread(str(folder / 'kites/predicted/1001.jpg')) is not None


def test_document_shows_the_format_that_is_read() -> None:
    (example,) = (json.loads(code) for language, code in EXAMPLES if language == 'json')
    (category,) = example['categories']
    (annotation,) = example['annotations']
    assert len(annotation['keypoints']) == 3 * len(category['keypoints'])
