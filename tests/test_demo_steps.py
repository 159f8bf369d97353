"""Parts of the demo: minutes that are left, progress, and the picture of errors."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from support.paths import ROOT
from support.shell import run

LINE = (
    '2026/01/01 00:00:00 - mmengine - INFO - Epoch(train)  [2][ 30/145]  lr: 1e-03  '
    'eta: 0:05:33  time: 0.48  loss: 0.003029  acc_pose: 0.340668'
)
pytestmark = pytest.mark.usefixtures('demo_modules')


def make_demo(root: Path, said: list[str]) -> Any:
    from steps import Demo, Step

    class Small(Demo):
        @property
        def steps(self) -> dict[str, Step]:
            return {
                name: Step(name, lambda name=name: said.append(name), minutes)
                for name, minutes in (('draw', 1), ('train', 4), ('test', 2))
            }

        def summary(self) -> str:
            return ''

    return Small(root, {})


def test_minutes_left_follow_those_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    demo = make_demo(tmp_path, said)
    assert demo.minutes_left() == 7
    demo.state['results']['draw'], demo.state['seconds']['draw'] = None, 120  # twice as long
    assert demo.minutes_left() == 12
    assert demo.minutes_left(without='train') == 4
    demo.run()
    assert said == ['train', 'test']
    first, second, _ = capsys.readouterr().out.splitlines()
    assert (first, second) == ('[1/3] draw: done before', '[2/3] train: about 12 minutes left')
    assert make_demo(tmp_path, said).minutes_left() == 0


def test_progress_counts_what_follows() -> None:
    from commands import progress

    assert progress(LINE, 6) == (
        'train epoch 2, 30/145, loss 0.00303, acc_pose 0.341; 5.5 minutes left, 12 with all that '
        'follows'
    )
    assert progress('100 images, 20 image/s', 6) == '100 images, 20 image/s'
    assert progress('loading') is None


def person(x: int, iscrowd: int = 0) -> dict[str, Any]:
    return dict(bbox=[x, 0, 10, 20], iscrowd=iscrowd)


# Of two people one is found, twice; a crowd is nobody, and no place for a false person.
PEOPLE = [person(0), person(50), person(100, 1)]
BOXES = [[0, 0, 10, 20], [1, 0, 10, 20], [101, 1, 3, 4], [200, 0, 10, 20]]


def test_people_in_new_images_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pictures

    monkeypatch.setattr(pictures, 'scene_of', lambda *args: SimpleNamespace(annotations=PEOPLE))
    monkeypatch.setattr(pictures, 'NUM_IMAGES', 2)
    corners = [[x, y, x + width, y + height] for x, y, width, height in BOXES]
    for name, found in (('00', corners), ('01', [])):
        content = json.dumps([dict(bbox=[box]) for box in found])
        (tmp_path / f'{name}.json').write_text(content)
    assert pictures.count_people(tmp_path) == dict(found=1, missed=3, false=1)


def test_people_in_held_out_images_are_counted(tmp_path: Path) -> None:
    import pictures

    annotations, detections = tmp_path / 'truth.json', tmp_path / 'found.json'
    people = [dict(each, image_id=7) for each in PEOPLE] + [dict(person(30), image_id=8)]
    content = dict(images=[dict(id=i) for i in (7, 8, 9)], annotations=people)
    annotations.write_text(json.dumps(content))
    found = [dict(image_id=7, bbox=box, score=0.9) for box in BOXES]
    found += [
        dict(image_id=8, bbox=[30, 0, 10, 20], score=0.3),  # not above the score
        dict(image_id=9, bbox=[30, 0, 10, 20], score=0.31),  # where nobody is
    ]
    detections.write_text(json.dumps(found))
    counted = pictures.count_detections(detections, annotations)
    assert counted == dict(found=1, missed=2, false=2)
    detections.write_text('[]')
    counted = pictures.count_detections(detections, annotations)
    assert dict(counted) == dict(found=0, missed=3, false=0)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report of an image with an inversion, which is its jitter, too, and a missed person."""
    cards = [
        dict(errors=['inversion', 'jitter'], codes=[0, 2, 1], score=0.8, oks=0.6),
        dict(errors=['missed'], codes=[], score=None, oks=None),
    ]
    for card in cards:
        truth, predicted = [[10, 10], [50, 60], None], [[30, 10], [70, 60], [90, 150]]
        card |= dict(file='a.png', box=[10, 20, 110, 180], width=100, height=160)
        card |= dict(truths=[truth], others=[], predictions=[predicted] if card['codes'] else [])
    skeleton = dict(names=['nose', 'left_hip', 'left_ankle'], links=[[0, 1], [1, 2]])
    path = tmp_path / 'report.json'
    path.write_text(json.dumps(dict(gallery=cards, skeleton=skeleton)))
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((200, 120, 3), 90, np.uint8))
    return path


def test_each_error_is_drawn_once(report: Path) -> None:
    from errors import worst

    gallery = json.loads(report.read_text())['gallery']
    assert [(kind, card['errors'][0]) for kind, card in worst(gallery)] == [
        ('inversion', 'inversion'),
        ('missed', 'missed'),
    ]


def test_names_of_keypoints_fit_above_a_cell() -> None:
    from errors import shorten

    assert shorten([]) == ''
    assert shorten(['nose', 'left eye']) == 'nose, left eye'
    long = ['left shoulder', 'right shoulder', 'right elbow', 'left hip']
    assert shorten(long) == 'left shoulder, right shoulder, ...'
    assert shorten(['x' * 60]) == 'x' * 60


def test_picture_of_errors(report: Path, tmp_path: Path) -> None:
    out = tmp_path / 'errors.png'
    script = str(ROOT / 'demo/errors.py')
    run([sys.executable, script, str(report), '--images', '.', '--out', out.name], cwd=tmp_path)
    picture = cv2.imread(str(out)).astype(int)
    assert picture.shape == (276, 480, 3)
    green, orange, red = (
        (np.abs(picture - colour).max(axis=2) < 40).sum(axis=0)
        for colour in ((60, 200, 60), (0, 150, 255), (40, 40, 255))
    )
    assert green[:240].sum() > 20
    assert green[240:].sum() > 20  # the missed person
    assert orange[:240].sum() > 20
    assert orange[240:].sum() == 0
    assert red[:240].sum() > 5
    assert red[240:].sum() == 0
