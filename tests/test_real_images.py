"""A model that overfits a few COCO images detects their people: `demo/real.py`."""

import os
import re
import sys
from pathlib import Path

import pytest
from support.paths import ROOT
from support.shell import run

COCO_SAMPLE = os.environ.get('COCO_SAMPLE')
needs_sample = pytest.mark.skipif(
    COCO_SAMPLE is None,
    reason="COCO_SAMPLE does not name a folder with MMPose's tests/data/coco: four COCO images",
)


def overfit(folder: Path, epochs: int) -> tuple[float, float]:
    """Return the AP with ground-truth boxes and with detector boxes."""
    script, options = ROOT / 'demo' / 'real.py', ['--epochs', str(epochs)]
    command = [sys.executable, str(script), str(COCO_SAMPLE), '--work-dir', str(folder)]
    out = run([*command, *options], cwd=folder)
    (gt,) = re.findall(r'ground-truth boxes: AP (\S+),', out)
    (detected,) = re.findall(r'detector boxes: AP (\S+),', out)
    assert len(list((folder / 'skeletons').glob('*.jpg'))) == 4
    return float(gt), float(detected)


@needs_sample
@pytest.mark.slow
def test_soon_detects_some(tmp_path: Path) -> None:
    gt, detected = overfit(tmp_path, epochs=150)
    assert gt > 0.3
    assert detected > 0.2


@needs_sample
@pytest.mark.slow
def test_detects_all_in_the_end(tmp_path: Path) -> None:
    gt, _ = overfit(tmp_path, epochs=300)
    assert gt >= 0.9
