"""Trainings of a second, without a config."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from support.tiny_training import Forked, write_people

from hrnet_plugin.apis import PoseInferencer, TrainResult, train
from hrnet_plugin.apis.training.derive import Recipe
from hrnet_plugin.apis.training.train import METRICS
from hrnet_plugin.checkpoints import read_checkpoint

QUICK = dict(arch='w18-small-v1', input_size=(64, 64), epochs=2, batch_size=4, seed=1)
LAST = 'epoch_2.pth'


@pytest.fixture(scope='module')
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('people')
    write_people(folder)
    return folder


class Run:
    """A training in a forked process, and what it said."""

    def __init__(self, people: Path, work_dir: Path, log: Path, **options: Any) -> None:
        def work() -> None:
            torch.set_num_threads(1)
            self.prepare()
            train(people, work_dir=work_dir, **(QUICK | options))

        self.log = log
        self.work_dir = work_dir
        self.prepare: Callable[[], object] = lambda: None
        self.start = lambda: Forked(work, log)

    def succeeds(self) -> str:
        self.start().succeeds()
        return self.log.read_text()

    def fails(self) -> str:
        assert self.start().wait() == 1
        return self.log.read_text()


@pytest.fixture(scope='module')
def whole(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The work folder of an uninterrupted training, and what it said."""
    folder = tmp_path_factory.mktemp('whole')
    return folder / 'work', Run(people, folder / 'work', folder / 'log').succeeds()


def interrupt(whole: Path, work_dir: Path) -> None:
    """Make a work folder that of a training which was killed after its first epoch."""
    work_dir.mkdir()
    for name in ('config.py', 'history.json', 'epoch_1.pth'):
        shutil.copy(whole / name, work_dir)
    state = json.loads((whole / 'training.json').read_text()) | dict(metrics={})
    (work_dir / 'training.json').write_text(json.dumps(state))
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))


def weights(path: Path) -> dict[str, Any]:
    loaded = read_checkpoint(path)
    return {name: loaded[name] for name in ('state_dict', 'optimizer')}


class TestWhole:
    def test_explains_what_it_derives(self, whole: tuple[Path, str]) -> None:
        said = whole[1]
        assert 'person_keypoints_val2017.json (found beside it)' in said
        assert '17: nose, left_eye' in said
        assert "MMPose's of COCO" in said
        assert '64 wide x 64 high (as given)' in said
        assert re.search(
            r'^lr +\S+ \(Adam, as published for batches of 512, not scaled', said, re.MULTILINE
        )

    def test_ends_with_ten_numbers(self, whole: tuple[Path, str]) -> None:
        folder, said = whole
        saved = json.loads((folder / 'evaluation.json').read_text())
        for name in METRICS:
            assert f'{name:<8} {saved[f"coco/{name}"]:.3f}\n' in said
        assert len(METRICS) == 10

    def test_says_nothing_else(self, whole: tuple[Path, str]) -> None:
        """No hooks, no configs, nothing of COCO's library; those are in the log file."""
        folder, said = whole
        assert 'before_train' not in said
        assert 'loading annotations' not in said
        (log,) = folder.glob('*/*.log')
        assert 'before_train' in log.read_text()

    def test_says_how_far_it_is(self, whole: tuple[Path, str]) -> None:
        assert re.search(r'^epoch 1/2: loss \S+, AP \S+, \d\d:\d\d left$', whole[1], re.MULTILINE)

    def test_leaves_curves(self, whole: tuple[Path, str]) -> None:
        rows = json.loads((whole[0] / 'history.json').read_text())
        assert [row['epoch'] for row in rows] == [1, 2]
        assert all({'loss', 'acc_pose', 'coco/AP', 'minutes'} <= row.keys() for row in rows)
        assert (whole[0] / 'curves.png').read_bytes().startswith(b'\x89PNG')

    def test_config_is_kept_with_its_comments(self, whole: tuple[Path, str]) -> None:
        text = (whole[0] / 'config.py').read_text()
        assert '# Learning rate: Adam' in text
        assert Config.fromfile(whole[0] / 'config.py').model.backbone.arch == 'w18-small-v1'

    def test_predicts_from_the_work_folder(self, whole: tuple[Path, str], people: Path) -> None:
        inferencer = PoseInferencer(str(whole[0]), det_model='whole_image', device='cpu')
        image = next(people.glob('val2017/*.jpg'))
        (result,) = inferencer(str(image))
        assert len(result['predictions'][0][0]['keypoints']) == 17


def test_resumes_exactly(people: Path, whole: tuple[Path, str], tmp_path: Path) -> None:
    interrupt(whole[0], tmp_path / 'work')
    said = Run(people, tmp_path / 'work', tmp_path / 'log', resume=True).succeeds()
    assert f'resuming in {tmp_path}/work' in said
    torch.testing.assert_close(
        weights(tmp_path / 'work' / LAST), weights(whole[0] / LAST), rtol=0, atol=0
    )
    rows = json.loads((tmp_path / 'work/history.json').read_text())
    before = json.loads((whole[0] / 'history.json').read_text())
    assert [row['loss'] for row in rows] == [row['loss'] for row in before]


def test_a_finished_one_says_so(people: Path, whole: tuple[Path, str], tmp_path: Path) -> None:
    before = (whole[0] / LAST).stat().st_mtime_ns
    result = train(people, work_dir=whole[0], report=(said := []).append, **QUICK)
    assert isinstance(result, TrainResult)
    assert result.was_finished
    assert said[0].startswith(f'finished: {whole[0]}; best checkpoint best_coco_AP_epoch_')
    assert result.checkpoint.is_file()
    assert (
        result.metrics['coco/AP']
        == json.loads((whole[0] / 'evaluation.json').read_text())['coco/AP']
    )
    assert (whole[0] / LAST).stat().st_mtime_ns == before


class TestOtherSettings:
    def test_are_named(self, people: Path, whole: tuple[Path, str]) -> None:
        options = QUICK | dict(epochs=3, codec='udp')
        with pytest.raises(ValueError, match='holds a training with other settings') as caught:
            train(people, work_dir=whole[0], **options)
        for text in ('option epochs was 2, is now 3', 'option codec was msra, is now udp'):
            assert text in str(caught.value)
        assert 'seed' not in str(caught.value)

    def test_other_annotations(
        self, people: Path, whole: tuple[Path, str], tmp_path: Path
    ) -> None:
        shutil.copytree(people, tmp_path / 'people')
        interrupt(whole[0], tmp_path / 'work')
        state = json.loads((tmp_path / 'work/training.json').read_text())
        state['options']['data'] = str(tmp_path / 'people')
        (tmp_path / 'work/training.json').write_text(json.dumps(state))
        path = tmp_path / 'people/annotations/person_keypoints_train2017.json'
        path.write_text(path.read_text() + ' ')
        with pytest.raises(ValueError, match='the annotations for training have changed'):
            train(tmp_path / 'people', work_dir=tmp_path / 'work', **QUICK)

    def test_before_the_first_checkpoint_are_taken(self, people: Path, tmp_path: Path) -> None:
        """A training that was stopped so early has nothing to lose."""
        from hrnet_plugin.apis.training.settings import Options
        from hrnet_plugin.apis.training.train import prepare

        for codec in ('msra', 'udp'):
            options = Options(data=str(people), **(QUICK | dict(codec=codec)))
            prepared = prepare(options, tmp_path / 'work', False, lambda line: None)
            assert prepared is not None
            assert not prepared.resume
            cfg = Config.fromfile(tmp_path / 'work/config.py')
            assert cfg.codec.variant == codec
        assert cfg.model.test_cfg.shift_heatmap is False

    def test_an_edited_config_is_used(
        self, people: Path, whole: tuple[Path, str], tmp_path: Path
    ) -> None:
        interrupt(whole[0], tmp_path / 'work')
        path = tmp_path / 'work/config.py'
        path.write_text(path.read_text() + "\ndefault_hooks['logger']['interval'] = 1\n")
        said = Run(people, tmp_path / 'work', tmp_path / 'log').succeeds()
        assert 'config.py was changed since it was written, and is used as it is' in said
        assert 'interval' in path.read_text().splitlines()[-1]


class TestRefused:
    def refuse(self, error: type[Exception], match: str, data: Any, **options: Any) -> None:
        with pytest.raises(error, match=match):
            train(data, **(QUICK | options))

    def test_nothing_to_resume(self, people: Path, tmp_path: Path) -> None:
        self.refuse(
            ValueError, 'has no checkpoint to resume', people, work_dir=tmp_path, resume=True
        )

    def test_options(self, people: Path, tmp_path: Path) -> None:
        for option, value, match in (
            ('arch', 'hrformer-smal', "unknown arch .* did you mean 'hrformer-small'"),
            ('arch', 'w33', "did you mean 'w32'"),
            ('codec', 'drak', "unknown codec 'drak'; did you mean 'dark'"),
            ('logger', ('tensorbord',), "did you mean 'tensorboard'"),
            ('input_size', (64, 65), r'64x65 \(width x height\): 65 is not a multiple of 32'),
            ('epochs', 0, 'epochs=0; expected 1 or more'),
            ('batch_size', 100, 'batch size 100 is larger than the data'),
            ('device', 'cuda:7', "device 'cuda:7' is not there"),
            ('launcher', 'pytorch', 'started by torchrun'),
            ('weights', 'hrnet-w23', 'unknown name of weights'),
        ):
            self.refuse(ValueError, match, people, work_dir=tmp_path, **{option: value})

    def test_missing_files(self, people: Path, tmp_path: Path) -> None:
        for option in ('val', 'images', 'metainfo', 'weights'):
            missing = str(tmp_path / 'nowhere.x')
            match = 'nowhere'
            self.refuse(
                FileNotFoundError, match, people, work_dir=tmp_path / 'w', **{option: missing}
            )

    def test_loggers_that_are_not_installed(
        self, people: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__('sys').modules, 'mlflow', None)
        self.refuse(
            ImportError, '--logger mlflow .* pip install mlflow', people, logger=('mlflow',)
        )

    def test_another_training(self, people: Path, tmp_path: Path) -> None:
        (tmp_path / 'epoch_9.pth').touch()
        self.refuse(
            ValueError,
            '`hrnet-plugin train` did not begin: give another',
            people,
            work_dir=tmp_path,
        )

    def test_errors_of_the_data(self, people: Path, tmp_path: Path) -> None:
        """Nothing is left behind that would keep the mended data from being trained on."""
        shutil.copytree(people, tmp_path / 'people')
        next((tmp_path / 'people/train2017').glob('*.jpg')).write_bytes(b'no image')
        self.refuse(
            ValueError,
            '(?s)nothing was trained.*error: .*train2017',
            tmp_path / 'people',
            work_dir=tmp_path / 'work',
        )
        assert not list((tmp_path / 'work').glob('*.*'))


def test_an_address_without_a_network(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*args: Any, **kwargs: Any) -> None:
        raise OSError('no network')

    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', no_network)
    with pytest.raises(OSError, match=r'w32.* cannot be fetched from https.*no network.*give the'):
        train(people, work_dir=tmp_path / 'w', arch='w32', weights='hrnet-w32_coco-256x192')


class TestWeights:
    def prepared(self, people: Path, tmp_path: Path, **options: Any) -> tuple[Config, str]:
        from hrnet_plugin.apis.training.settings import Options
        from hrnet_plugin.apis.training.train import prepare

        said: list[str] = []
        prepare(Options(data=str(people), **(QUICK | options)), tmp_path / 'w', False, said.append)
        return Config.fromfile(tmp_path / 'w/config.py'), '\n'.join(said)

    def test_of_the_same_keypoints(
        self, people: Path, whole: tuple[Path, str], tmp_path: Path
    ) -> None:
        cfg, said = self.prepared(people, tmp_path, weights=str(whole[0] / LAST))
        assert 'with its final layer, too' in said
        assert 'reset_final_layer' not in cfg.model.head
        assert cfg.load_from == f'{tmp_path}/w/pretrained.pth'
        copied, given = (
            read_checkpoint(path)['state_dict'] for path in (cfg.load_from, whole[0] / LAST)
        )
        torch.testing.assert_close(copied, {name: given[name] for name in copied})

    def test_of_others(self, people: Path, whole: tuple[Path, str], tmp_path: Path) -> None:
        other = read_checkpoint(whole[0] / LAST)
        for name in ('weight', 'bias'):
            key = f'head.final_layer.{name}'
            other['state_dict'][key] = other['state_dict'][key][:5]
        torch.save(other, tmp_path / 'five.pth')
        cfg, said = self.prepared(people, tmp_path, weights=str(tmp_path / 'five.pth'))
        assert 'with a new final layer, for 17 keypoints instead of 5' in said
        assert cfg.model.head.reset_final_layer

    def test_of_a_backbone(self, people: Path, whole: tuple[Path, str], tmp_path: Path) -> None:
        state = read_checkpoint(whole[0] / LAST)['state_dict']
        backbone = {name: x for name, x in state.items() if name.startswith('backbone.')}
        torch.save(backbone, tmp_path / 'backbone.pth')
        cfg, said = self.prepared(people, tmp_path, weights=str(tmp_path / 'backbone.pth'))
        assert 'the backbone of' in said
        assert cfg.load_from is None
        assert cfg.model.backbone.init_cfg == dict(
            type='Pretrained', checkpoint=f'{tmp_path}/backbone.pth'
        )

    def test_of_another_architecture(
        self, people: Path, whole: tuple[Path, str], tmp_path: Path
    ) -> None:
        with pytest.raises(ValueError, match=r'are of HRNet w18-small-v1, .*not of --arch'):
            self.prepared(people, tmp_path, arch='lite-18', weights=str(whole[0] / LAST))


def test_split_off(people: Path, tmp_path: Path) -> None:
    """Without annotations for validation; and the config names them wherever the folder is."""
    from hrnet_plugin.apis.training.settings import Options
    from hrnet_plugin.apis.training.train import prepare

    annotations = people / 'annotations/person_keypoints_train2017.json'
    said: list[str] = []
    prepare(Options(data=str(annotations), **QUICK), tmp_path / 'w', False, said.append)
    assert any('10% of the images of person_keypoints_train2017.json' in line for line in said)
    (tmp_path / 'w').rename(tmp_path / 'moved')
    cfg = Config.fromfile(tmp_path / 'moved/config.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert Path(loader.dataset.ann_file).is_file()
        assert Path(loader.dataset.data_prefix.img) == people / 'train2017'


def test_recipes_are_the_published_ones() -> None:
    from hrnet_plugin.apis.training.recipes import read_recipe

    recipes: dict[str, Recipe] = {a: read_recipe(a) for a in ('w48', 'lite-18', 'hrformer-tiny')}
    assert {a: (r.optimizer['type'], r.optimizer['lr']) for a, r in recipes.items()} == {
        'w48': ('Adam', 5e-4),
        'lite-18': ('Adam', 2e-3),
        'hrformer-tiny': ('AdamW', 5e-4),
    }
    assert [r.batch_size for r in recipes.values()] == [512, 512, 256]
    assert {r.milestones for r in recipes.values()} == {(170, 200)}
    assert recipes['lite-18'].augmentation['RandomBBoxTransform']['rotate_factor'] == 60
