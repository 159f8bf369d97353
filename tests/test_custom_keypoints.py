"""docs/custom_keypoints.md, as pasted."""

import json
import re
import sys
from pathlib import Path

import cv2
import pytest
from support.paths import ROOT
from support.shell import run

DOC = (ROOT / 'docs/custom_keypoints.md').read_text()
EXAMPLES = re.findall(r'```(\w+)\n(.*?)```', DOC, flags=re.DOTALL)


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


def test_training_ends_with_a_good_ap(folder: Path) -> None:
    (ap,) = re.findall(r'Epoch\(val\).*coco/AP: (\S+)', (folder / 'said').read_text())
    assert float(ap) > 0.5


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
