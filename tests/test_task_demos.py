"""The demo of the other tasks: its configs, and what `demo/tasks.py` leaves."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope, init_default_scope
from mmengine.runner import Runner
from PIL import Image
from support.config_files import CONFIGS, read_config
from support.paths import ROOT
from support.shell import run

from hrnet_plugin.datasets import synthesize
from hrnet_plugin.datasets.synthetic.tasks import SEGMENTATIONS

SCOPES = {
    'fcn_hr18s-v1_demo-person': 'mmseg',
    'fcn_hr18s-v1_demo-parts': 'mmseg',
    'rtmdet_hrnetv2p-w18-small-v1_person': 'mmdet',
    'hrnet-w18-small-v1_demo-setting': 'mmpretrain',
}
(PERSON, PARTS, DETECTION, CLASSIFICATION) = SCOPES
SPLITS = ('train', 'val')


def load(name: str, root: Path) -> Config:
    (path,) = (p for p in CONFIGS if p.stem == name)
    return read_config(path, {'COCO_ROOT': root})


@pytest.fixture(autouse=True)
def _scope_is_left_as_it_was() -> Iterator[None]:
    before = DefaultScope.get_current_instance()
    yield
    init_default_scope(before.scope_name if before else 'mmpose')


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('data')
    tasks = ('detection', 'segmentation', 'classification')
    synthesize(folder, 12, 0, 0.5, (160, 120), num_workers=1, tasks=tasks)
    return folder


@pytest.mark.parametrize(('name', 'scope'), SCOPES.items())
def test_is_a_short_training_from_scratch(name: str, scope: str, root: Path) -> None:
    config = load(name, root)
    assert config.default_scope == scope
    assert config.custom_imports == dict(imports=['hrnet_plugin'], allow_failed_imports=False)
    assert config.model.backbone.type == 'hrnet_plugin.HRNet'
    assert config.model.backbone.arch == 'w18-small-v1'
    assert config.model.backbone.init_cfg is None
    assert not config.model.backbone.get('norm_eval', False)
    assert config.default_hooks.checkpoint.type == 'hrnet_plugin.AtomicCheckpointHook'
    assert config.default_hooks.exact_resume.type == 'hrnet_plugin.ExactResumeHook'
    assert config.default_hooks.channels_last.type == 'hrnet_plugin.ChannelsLastHook'
    warm_up, decay = config.param_scheduler
    assert (warm_up.type, warm_up.by_epoch) == ('LinearLR', False)
    assert (decay.type, decay.convert_to_iter_based) == ('CosineAnnealingLR', True)
    assert decay.end == config.train_cfg.max_epochs == config.train_cfg.val_interval


@pytest.mark.parametrize('name', [PERSON, PARTS])
def test_classes_are_those_of_the_label_maps(name: str, root: Path) -> None:
    config = load(name, root)
    expected = SEGMENTATIONS['person' if name == PERSON else 'parts']
    assert config.model.decode_head.num_classes == len(expected.classes)
    for split in SPLITS:
        metainfo = config[f'{split}_dataloader'].dataset.metainfo
        assert metainfo.classes == expected.classes
        assert [tuple(colour) for colour in metainfo.palette] == list(expected.palette)
    (flip,) = (s for s in config.train_dataloader.dataset.pipeline if s.type == 'RandomFlip')
    pairs = expected.metainfo['swap_seg_labels']
    assert flip.get('swap_seg_labels', []) == [tuple(pair) for pair in pairs]


@pytest.mark.parametrize('name', [PERSON, PARTS])
@pytest.mark.parametrize('split', SPLITS)
def test_label_maps_are_read(name: str, split: str, root: Path) -> None:
    config = load(name, root)
    init_default_scope('mmseg')
    dataset = config[f'{split}_dataloader'].dataset
    steps = {step['type']: step for step in dataset.pipeline}
    read = ('LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs')
    samples = DATASETS.build(dict(dataset, pipeline=[steps[s] for s in read]))
    assert len(samples) == 6
    labels = np.stack([s['data_samples'].gt_sem_seg.data[0].numpy() for s in samples])
    assert labels.shape == (6, 120, 160)
    kind = 'person' if name == PERSON else 'parts'
    folder = root / 'segmentation' / kind / f'{split}2017'
    paths = [folder / f'{Path(s["data_samples"].img_path).stem}.png' for s in samples]
    maps = [np.asarray(Image.open(path)) for path in paths]
    assert np.array_equal(labels, maps)
    assert 0 < labels.max() < config.model.decode_head.num_classes


def test_settings_are_read(root: Path) -> None:
    config = load(CLASSIFICATION, root)
    init_default_scope('mmpretrain')
    for split in SPLITS:
        samples = DATASETS.build(dict(config[f'{split}_dataloader'].dataset, pipeline=[]))
        assert samples.CLASSES == ('outdoors', 'indoors', 'blurred')
        assert config.model.head.num_classes == config.data_preprocessor.num_classes == 3
        lines = (root / f'classification/setting/{split}2017.txt').read_text().splitlines()
        found = [(Path(s['img_path']).name, s['gt_label']) for s in samples]
        assert [f'{name} {label}' for name, label in found] == lines


@pytest.mark.parametrize('name', SCOPES)
def test_trains_and_evaluates(name: str, root: Path, tmp_path: Path) -> None:
    config = load(name, root)
    config.work_dir = str(tmp_path)
    config.log_level = 'WARNING'
    config.train_cfg.update(max_epochs=1, val_interval=1)
    config.default_hooks.logger.interval = 1
    config.randomness = dict(seed=0)
    for split in ('train', 'val', 'test'):
        loader = config[f'{split}_dataloader']
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.update(serialize_data=False, indices=4)
    runner = Runner.from_cfg(config)
    sizes: list[tuple[int, ...]] = []
    runner.model.backbone.register_forward_pre_hook(lambda _, x: sizes.append(x[0].shape))
    runner.train()
    # Without padding to multiples of 32
    size = {DETECTION: (144, 192), CLASSIFICATION: (64, 64)}.get(name, (120, 160))
    assert sizes == [(2, 3, *size)] * 4
    scalars = runner.message_hub.log_scalars
    losses, _ = scalars['train/loss'].data
    assert losses.shape == (2,)
    assert np.isfinite(losses).all()
    (metric,) = (row['metric'] for row in ROWS.values() if row['config'] == name)
    assert 0 <= scalars[f'val/{metric}'].current() <= 100
    trained = runner.optim_wrapper.optimizer.state
    assert all(trained[p]['step'] == 2 for p in runner.model.parameters())


# The demo

# What each task says of its config; its value must be more than a model's that knows no image.
ROWS: dict[str, dict[str, Any]] = {
    # Everything is background: 95 % of the pixels, as is its IoU; and 0 for the others
    'segmentation': dict(config=PERSON, metric='mIoU', chance=0.5),
    'parts': dict(config=PARTS, metric='mIoU', chance=1 / 11),
    # Boxes at random
    'detection': dict(config=DETECTION, metric='coco/bbox_mAP', chance=0.01),
    # Always the class that is the most frequent of those held out, which the test counts
    'classification': dict(config=CLASSIFICATION, metric='accuracy/top1', chance=0.0),
}
SIZE = ('--images', '400', '--epochs', '6')


def demo(*options: str) -> list[str]:
    return [sys.executable, str(ROOT / 'demo/tasks.py'), *options]


def error_of(command: list[str], cwd: Path, code: int) -> str:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert result.returncode == code
    return result.stderr


@pytest.fixture(scope='module')
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo has run, task by task."""
    home = tmp_path_factory.mktemp('my home, with blanks')
    for task in ROWS:
        run(demo(task, *SIZE), cwd=home)
    return home


@pytest.mark.slow
class TestDemo:
    @pytest.mark.parametrize('task', ROWS)
    def test_is_better_than_chance(self, task: str, home: Path) -> None:
        out = home / 'work_dirs/tasks'
        row = ROWS[task]
        state = json.loads((out / 'state.json').read_text())
        value = state['results'][f'test_{task}'][row['metric']]
        chance = row['chance']
        if task == 'classification':
            lines = (out / 'data/classification/setting/val2017.txt').read_text().splitlines()
            counts = Counter(line.split()[-1] for line in lines)
            chance = max(counts.values()) / len(lines)
        assert value / (1 if task == 'detection' else 100) > chance

    @pytest.mark.parametrize('task', ROWS)
    def test_leaves_images(self, task: str, home: Path) -> None:
        out = home / 'work_dirs/tasks'
        assert len(list((out / task / 'vis').iterdir())) == 12
        page = cv2.imread(str(out / f'{task}.jpg'))
        assert page is not None
        assert page.shape == (3 * 240, 4 * 320, 3)

    def test_all_tasks_are_in_one_table(self, home: Path) -> None:
        output = run(demo(*SIZE), cwd=home)
        assert output.count('done before') == 1 + 3 * len(ROWS)
        for task, row in ROWS.items():
            pattern = rf'\| {task} \| {row["config"]}.py \| .* \| \d\.\d{{3}} \| \d+\.\d \|'
            assert re.search(pattern, output)

    def test_commands_can_be_typed_again(self, home: Path) -> None:
        lines = (home / 'work_dirs/tasks/commands.txt').read_text().splitlines()
        (test,) = (line for line in lines if ' mim test mmpretrain ' in line)
        assert 'accuracy/top1' in run(test, cwd=home)


def test_unknown_task_is_an_error_that_lists_them(tmp_path: Path) -> None:
    error = error_of(demo('detection', 'segment'), tmp_path, 2)
    assert "'segment' is none of the tasks: segmentation, parts, detection, class" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('setting', 'value'),
    [('images', 41), ('epochs', 1), ('config of detection', 'another')],
)
def test_other_settings_do_not_pass_for_these(setting: str, value: Any, tmp_path: Path) -> None:
    state = dict(settings={setting: value}, results={}, seconds={})
    (tmp_path / 'state.json').write_text(json.dumps(state))
    error = error_of(demo('detection', '--work-dir', str(tmp_path)), tmp_path, 1)
    assert f'was made with other {setting}; delete it, or name another folder' in error
    assert json.loads((tmp_path / 'state.json').read_text()) == state
