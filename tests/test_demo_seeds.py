"""Trainings of a config with several seeds: their table, their curve, and what is refused."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.paths import ROOT
from support.shell import run

from hrnet_plugin.datasets import synthesize

POSE = ROOT / 'configs/demo/td-hm_hrnet-w18-small-v1_demo.py'
DETECTOR = ROOT / 'configs/demo/rtmdet_person.py'
pytestmark = pytest.mark.usefixtures('demo_modules')


# Of one person, whose ankles are 50 pixels apart
POINTS = np.array([[10.0 * i, 5.0 * i, 2.0] for i in range(15)] + [[0, 99, 2], [50, 99, 2]])
PERSON = dict(
    id=1, image_id=7, category_id=1, bbox=[0, 0, 141, 100], area=14100.0, iscrowd=0,
    num_keypoints=17, keypoints=POINTS.ravel().tolist(),
)  # fmt: skip


@pytest.fixture
def trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Names and options of trainings, none of which is run; AP is 0.1 * epochs + 0.01 * seed.

    With an odd seed, a pose model exchanges the ankles of the one person that there is, and a
    detector finds it, and as many others as its seed.
    """
    import commands

    content = dict(
        images=[dict(id=7, file_name='7.jpg', width=200, height=150)],
        annotations=[PERSON],
        categories=[dict(id=1, name='person')],
    )
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/person_keypoints_val2017.json').write_text(json.dumps(content))
    done: list[tuple[str, list[str]]] = []

    def train(self: Any, package: str, config: Path, name: str, options: list[str]) -> None:
        done.append((name, options))

    def test(self: Any, package: str, config: Path, name: str, options: list[str]) -> Any:
        epochs, seed = (int(''.join(filter(str.isdigit, part))) for part in name.split('_'))
        if package == 'mmdet':
            boxes = [PERSON['bbox']] * (seed % 2) + [[150, 120, 10, 20]] * seed
            found = [dict(image_id=7, bbox=box, score=0.9) for box in boxes]
            metric, file, suffix = 'coco/bbox_mAP', 'detections', 'bbox'
        else:
            points = POINTS[[*range(15), 16, 15]] if seed % 2 else POINTS
            keypoints = points.ravel().tolist()
            found = [dict(image_id=7, category_id=1, score=0.9, keypoints=keypoints)]
            metric, file, suffix = 'coco/AP', 'predictions', 'keypoints'
        assert options[-1] == f'test_evaluator.outfile_prefix={name}/{file}'
        (self.root / name).mkdir()
        (self.root / name / f'{file}.{suffix}.json').write_text(json.dumps(found))
        return {metric: 0.1 * epochs + 0.01 * seed}

    monkeypatch.setattr(commands.Commands, 'train', train)
    monkeypatch.setattr(commands.Commands, 'test', test)
    return done


def make(root: Path, options: tuple[str, ...] = (), config: Path = POSE, **numbers: Any) -> Any:
    from seeds import SeedsDemo

    return SeedsDemo(root, root.parent, config, options, **numbers)


def test_table_and_curve(tmp_path: Path, trainings: list[tuple[str, list[str]]]) -> None:
    root = tmp_path / 'wide'
    demo = make(root, ('optim_wrapper.precision=float32',), seeds=[0, 1], epochs=[3, 1])
    demo.run()
    assert [name for name, _ in trainings] == [
        *('epochs1_seed0', 'epochs1_seed1', 'epochs3_seed0', 'epochs3_seed1')
    ]
    assert trainings[-1][1] == [
        *('train_cfg.max_epochs=3', 'param_scheduler.1.end=3'),
        *('optim_wrapper.precision=float32', 'randomness.seed=1'),
    ]
    demo.state['seconds'] = dict.fromkeys(demo.state['seconds'], 90.0)
    head, _, first, second = demo.summary().splitlines()
    assert head == (
        '| change | epochs | seeds | AP, mean | lowest to highest | minutes to train '
        '| most inverted keypoint of each seed |'
    )
    assert first == '| wide | 1 | 2 | 0.105 | 0.100 to 0.110 | 1.5 | none, left_ankle 1.00 |'
    assert second == '| wide | 3 | 2 | 0.305 | 0.300 to 0.310 | 1.5 | none, left_ankle 1.00 |'
    curve = cv2.imread(str(root / 'curve.png'))
    assert curve.shape == (480, 840, 3)
    assert (curve.min(axis=2) < 128).mean() > 0.01  # of its pixels are drawn on


def test_people_that_a_detector_misses_and_invents(
    tmp_path: Path, trainings: list[tuple[str, list[str]]]
) -> None:
    demo = make(tmp_path / 'jitter', config=DETECTOR, seeds=[3, 2], epochs=[1])
    demo.run()
    demo.state['seconds'] = dict.fromkeys(demo.state['seconds'], 90.0)
    head, _, row = demo.summary().splitlines()
    assert head.endswith(
        '| minutes to train | missed people of each seed | false people of each seed |'
    )
    assert row == '| jitter | 1 | 2 | 0.125 | 0.120 to 0.130 | 1.5 | 1, 0 | 2, 3 |'


def test_more_seeds_are_added(tmp_path: Path, trainings: list[tuple[str, list[str]]]) -> None:
    make(tmp_path / 'same', seeds=[0]).run()
    make(tmp_path / 'same', seeds=[1, 0, 0]).run()  # a seed twice would narrow the spread
    assert '| same | 6 | 2 |' in (tmp_path / 'same/summary.md').read_text()
    epochs = make(tmp_path / 'same', seeds=[0]).epochs
    assert [name for name, _ in trainings] == [f'epochs{epochs[0]}_seed{s}' for s in (0, 1)]
    assert not (tmp_path / 'same/curve.png').exists()


@pytest.mark.parametrize('config', [POSE, DETECTOR])
def test_what_was_tested_without_a_file_is_tested_again(
    tmp_path: Path, trainings: list[tuple[str, list[str]]], config: Path
) -> None:
    make(tmp_path / 'old', config=config, seeds=[1], epochs=[1]).run()
    shutil.rmtree(tmp_path / 'old/epochs1_seed1')
    make(tmp_path / 'old', config=config, seeds=[1], epochs=[1]).run()
    assert len(list((tmp_path / 'old/epochs1_seed1').glob('*.json'))) == 1
    assert len(trainings) == 1


def test_other_options_need_another_folder(
    tmp_path: Path, trainings: list[tuple[str, list[str]]]
) -> None:
    make(tmp_path / 'one', seeds=[0])
    make(tmp_path / 'one', seeds=[0]).run()
    with pytest.raises(SystemExit, match='made with other options; delete it, or name another'):
        make(tmp_path / 'one', ('optim_wrapper.optimizer.lr=1e-3',), seeds=[0])


def test_epochs_are_those_of_the_table(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r'train_cfg\.max_epochs; say --epochs instead'):
        make(tmp_path / 'two', ('train_cfg.max_epochs=2',), seeds=[0])
    assert not (tmp_path / 'two').exists()


def test_configs_of_other_packages_are_refused(tmp_path: Path) -> None:
    from seeds import SeedsDemo

    config = ROOT / 'configs/demo/hrnet-w18-small-v1_demo-setting.py'
    with pytest.raises(SystemExit, match='mmpretrain; expected a config of mmpose or mmdet'):
        SeedsDemo(tmp_path / 'other', tmp_path, config, [], [0])
    assert not (tmp_path / 'other').exists()


@pytest.mark.parametrize(
    ('config', 'epochs', 'error'),
    [
        (str(POSE), '0', '--epochs has 0; expected numbers from 1'),
        ('typo.py', '1', 'typo.py is not a file; configs/demo has configs of the demo'),
        (str(POSE), '1', 'nowhere has no annotations; `make demo` writes the default'),
    ],
)
def test_wrong_arguments_are_named(
    config: str,
    epochs: str,
    error: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import seeds

    arguments = [config, '--epochs', epochs, '--data', 'nowhere', '--work-dir', 'none']
    monkeypatch.setattr(sys, 'argv', ['seeds.py', *arguments])
    with pytest.raises(SystemExit, match='2'):
        seeds.main()
    assert error in capsys.readouterr().err


@pytest.mark.slow
def test_two_seeds(tmp_path: Path) -> None:
    synthesize(tmp_path / 'data', 24, 0, 0.5, (160, 120), num_workers=1)
    arguments = ['--data', 'data', '--work-dir', 'two', '--seeds', '0', '1', '--epochs', '1']
    done = run([sys.executable, str(ROOT / 'demo/seeds.py'), str(POSE), *arguments], cwd=tmp_path)
    assert done.splitlines()[-1].startswith('| two | 1 | 2 | 0.0')
    assert (tmp_path / 'two/epochs1_seed1.pth').exists()
