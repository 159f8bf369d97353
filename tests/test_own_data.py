"""From an export of an annotation tool to poses: commands of docs/own_data.md and README.md."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.doc_blocks import all_blocks
from support.paths import ROOT
from support.shell import run

BLOCKS = [block for block in all_blocks() if block.reason == 'tests/test_own_data.py']


def commands(code: str) -> list[str]:
    return [re.sub(r'  #.*', '', line) for line in code.splitlines() if line]


def test_readme_has_the_commands_of_the_page() -> None:
    readme, page = (commands(block.code) for block in BLOCKS)
    assert readme == page
    assert [line.split()[1] for line in page[1:]] == ['import', 'train', 'export', 'predict']


@pytest.mark.slow
def test_from_an_export_to_poses(tmp_path: Path) -> None:
    (tmp_path / 'demo').symlink_to(ROOT / 'demo')
    run('set -e\n' + '\n'.join(commands(BLOCKS[0].code)), cwd=tmp_path)
    metrics = json.loads((tmp_path / 'work_dirs/kites_data/evaluation.json').read_text())
    assert metrics['coco/AP'] > 0.5
    annotated = json.loads((tmp_path / 'kites/annotations/val.json').read_text())['annotations']
    results = json.loads((tmp_path / 'kites_poses/results.json').read_text())
    points = {row['image_id']: np.reshape(row['keypoints'], (5, 3))[:, :2] for row in results}
    assert sorted(points) == sorted(row['image_id'] for row in annotated)
    truth = {row['image_id']: np.reshape(row['keypoints'], (5, 3))[:, :2] for row in annotated}
    errors = [np.linalg.norm(points[image] - truth[image], axis=1) for image in truth]
    assert np.median(errors) < 4  # of 160 pixels
    assert cv2.imread(str(tmp_path / 'kites_poses/1001.jpg')) is not None
