"""`check_config` and `hrnet-plugin check`: configs and data with and without mistakes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import cv2
import mmpose
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmpose.registry import DATASETS
from support.paths import ROOT

from hrnet_plugin.checks.config import Report, check_config
from hrnet_plugin.commands.cli import main
from hrnet_plugin.datasets import synthesize

FOLDER = ROOT / 'configs/body_2d_keypoint/topdown_heatmap'
COCO = FOLDER / 'coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
MPII = FOLDER / 'mpii/td-hm_hrnet-w32_8xb64-210e_mpii-256x256.py'
TRAIN = 'annotations/person_keypoints_train2017.json'
VAL = 'annotations/person_keypoints_val2017.json'
SMALL = {'model.backbone.arch': 'w18-small-v1', 'model.head.in_channels': 16}


@pytest.fixture(scope='session')
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('coco')
    synthesize(root, 8, val_fraction=0.5, image_size=(96, 96), num_workers=1)
    return root


@pytest.fixture(scope='session')
def mpii(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two instances in MPII's format, and an image."""
    root = tmp_path_factory.mktemp('mpii')
    (root / 'annotations').mkdir()
    (root / 'images').mkdir()
    cv2.imwrite(str(root / 'images/000000001.jpg'), np.zeros((80, 80, 3), np.uint8))
    first = dict(image='000000001.jpg', center=[40.0, 40.0], scale=0.3)
    instances = [dict(first, joints=[[30, 30]] * 16, joints_vis=[1] * 16)] * 2
    for split in ('train', 'val'):
        (root / f'annotations/mpii_{split}.json').write_text(json.dumps(instances))
    return root


@pytest.fixture
def broken(coco: Path, tmp_path: Path) -> Path:
    """A copy whose annotations a test may break."""
    for path in coco.iterdir():
        if path.is_dir() and path.name != 'annotations':
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / 'annotations').mkdir()
    for name in (TRAIN, VAL):
        (tmp_path / name).write_text((coco / name).read_text())
    return tmp_path


def edit(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def config(root: Path, path: Path = COCO, **changes: Any) -> Config:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('COCO_ROOT', str(root))
        patch.setenv('MPII_ROOT', str(root))
        cfg = Config.fromfile(path)
    cfg.merge_from_dict({**SMALL, **changes})
    return cfg


def messages(report: Report) -> str:
    return '\n'.join(map(str, report.findings))


def step(cfg: Config, loader: str, name: str) -> Any:
    return next(s for s in cfg[loader].dataset.pipeline if s['type'] == name)


def test_a_valid_config_passes(coco: Path) -> None:
    seen: list[tuple[str, int]] = []

    def progress(folder: str, images: int) -> Callable[[], object]:
        return lambda: seen.append((folder, images))

    report = check_config(config(coco), progress=progress)
    assert report.findings == []
    assert report.images == 8 == len(seen)
    assert report.instances >= 8


def test_everything_at_once(broken: Path) -> None:
    def spoil(content: Any) -> None:
        content['annotations'][0]['category_id'] = 9
        content['annotations'][1]['bbox'] = [1, 2]
        content['images'][0]['file_name'] = 'nowhere.jpg'

    edit(broken / TRAIN, spoil)
    boxes = str(broken / 'boxes.json')
    Path(boxes).write_text(json.dumps([dict(image_id=5, category_id=1, bbox=[1] * 4, score=1)]))
    cfg = config(
        broken,
        **{
            'model.head.out_channels': 16,
            'val_dataloader.dataset.bbox_file': boxes,
            'val_evaluator.ann_file': str(broken / TRAIN),
            'load_from': 'weights/mine.pth',
            'model.backbone.init_cfg.checkpoint': str(broken / 'none.pth'),
        },
    )
    step(cfg, 'train_dataloader', 'TopdownAffine').use_udp = True
    report = check_config(cfg)
    assert report.has_errors
    for message in (
        'category_id is not among',
        'the bbox is not four numbers',
        'the image does not exist: 1x (image nowhere.jpg)',
        'none of its image ids is one of the annotations',
        'val_evaluator: its ann_file is',
        'config: load_from is weights/mine.pth, which does not exist',
        'none.pth, which does not exist',
        '17 keypoints in the dataset, but head.out_channels=16',
        'TopdownAffine has use_udp=True, but the codec of GenerateTarget does not follow UDP',
    ):
        assert message in messages(report), message
    assert len(report.findings) == len(set(report.findings))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'model.head.in_channels': 32},
            'head.in_channels=32, but stream 0 of the backbone has 16',
        ),
        (
            {'model.head.in_channels': 32, 'model.type': 'TopdownPoseEstimator'},
            'head.in_channels=32, but stream 0 of the backbone has 16',
        ),
        (
            {'model.head.deconv_out_channels': [8], 'model.head.deconv_kernel_sizes': [4]},
            'its heatmaps are (w, h) = (96, 128) of an input of (192, 256), but',
        ),
        ({'model.backbone.arhc': 'w32'}, "did you mean 'arch'?"),
        ({'model': None}, 'it has no model'),
        ({'train_dataloader.dataset.type': 'CocoDatset'}, 'CocoDatset is not in'),
        ({'train_dataloader.dataset.ann_file': 'no.json'}, 'the file does not exist'),
        ({'train_dataloader.dataset.metainfo': dict(from_file='no.py')}, 'no.py'),
    ],
)
def test_mistakes_in_a_config(coco: Path, changes: dict[str, Any], message: str) -> None:
    report = check_config(config(coco, **changes), read_images=False)
    assert report.has_errors
    assert message in messages(report)


def test_a_pipeline_that_fails(coco: Path) -> None:
    cfg = config(coco)
    cfg.train_dataloader.dataset.pipeline.insert(1, dict(type='BottomupRandomCrop'))
    report = check_config(cfg, read_images=False)
    assert 'train_dataloader: it' in messages(report)


def test_other_keypoints_than_the_metainfo(broken: Path) -> None:
    def cut(content: Any) -> None:
        for row in content['annotations']:
            row['keypoints'] = row['keypoints'][: 3 * 16]

    edit(broken / TRAIN, cut)
    report = check_config(config(broken), read_images=False)
    assert "16 keypoints, but the dataset's metainfo has 17" in messages(report)
    # The config is checked although no instance can be used.
    assert 'head' not in messages(report)
    step(cfg := config(broken), 'train_dataloader', 'TopdownAffine').input_size = (96, 96)
    assert 'TopdownAffine has input_size' in messages(check_config(cfg, read_images=False))


def test_instances_without_keypoints(broken: Path) -> None:
    """Stock's metric fails with them after the first epoch, ours ignores them."""

    def cage(content: Any) -> None:
        content['categories'].append(dict(id=2, name='cage'))
        first = content['annotations'][0]
        row = dict(id=77, image_id=first['image_id'], category_id=2, iscrowd=0, area=99)
        content['annotations'].append(dict(row, bbox=[1, 1, 9, 11]))

    edit(broken / VAL, cage)
    report = check_config(config(broken), read_images=False)
    assert not report.has_errors
    assert 'no keypoints: nothing is learnt of them: 1x (annotation 77)' in messages(report)
    report = check_config(
        config(broken, **{'val_evaluator.type': 'CocoMetric'}), read_images=False
    )
    assert report.has_errors
    assert 'CocoMetric fails with annotations without keypoints' in messages(report)


def test_evaluators_are_built(broken: Path) -> None:
    cfg = config(broken, **{'val_evaluator.score_mode': 'bbox_keypoints'})
    text = messages(check_config(cfg, read_images=False))
    assert 'val_evaluator: hrnet_plugin.OKSMetric cannot be built: ' in text
    assert "did you mean 'bbox_keypoint'" in text

    def no_box(content: Any) -> None:
        del content['annotations'][1]['bbox']

    edit(broken / VAL, no_box)
    text = messages(check_config(config(broken), read_images=False))
    assert 'no bbox: left out: 1x' in text
    assert "has no 'bbox'; evaluation needs" in text


def test_flips_without_swaps(coco: Path) -> None:
    cfg = config(coco)
    path = 'configs/_base_/datasets/coco.py'
    info = Config.fromfile(Path(mmpose.__file__).parent / '.mim' / path).dataset_info
    for keypoint in info.keypoint_info.values():
        keypoint.swap = ''
    for phase in ('train', 'val', 'test'):
        cfg[f'{phase}_dataloader'].dataset.metainfo = info
    report = check_config(cfg, read_images=False)
    assert report.has_errors
    text = messages(report)
    assert "RandomFlip mirrors images, but the metainfo has no `swap` for 'left_eye' and" in text
    assert 'train_dataloader: RandomFlip mirrors images, but the metainfo swaps no keyp' in text
    for keypoint in info.keypoint_info.values():
        keypoint.name = f'kpt-{keypoint.id}'
    info.skeleton_info = {}
    report = check_config(cfg, read_images=False)
    assert not report.has_errors
    assert 'train_dataloader: RandomFlip mirrors images, but the metainfo swaps' in messages(
        report
    )
    assert 'val_dataloader: model.test_cfg.flip_test mirrors images' in messages(report)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'train_dataloader': [1]}, r'train_dataloader is \[1\]; expected a dict'),
        ({'train_dataloader.dataset': 'x'}, "train_dataloader.dataset is 'x'; expected a dict"),
        (
            {'train_dataloader.dataset.ann_file': [1]},
            r'its ann_file is \[1\]; expected a path|built',
        ),
        ({'val_evaluator.ann_file': [1]}, r'its ann_file is \[1\]; expected a path'),
        ({'default_scope': ['mmpose']}, r"default_scope is \['mmpose'\]; expected the name"),
    ],
)
def test_a_config_of_another_shape(coco: Path, changes: dict[str, Any], message: str) -> None:
    cfg = config(coco)
    for name, value in changes.items():
        *parents, last = name.split('.')
        part = cfg
        for parent in parents:
            part = part[parent]
        part[last] = value
    report = check_config(cfg, read_images=False)
    assert report.has_errors
    assert re.search(message, messages(report))


def test_mpii(mpii: Path) -> None:
    from scipy.io import savemat

    savemat(mpii / 'annotations/mpii_gt_val.mat', dict(headboxes_src=np.zeros((2, 2, 3))))
    report = check_config(config(mpii, MPII))
    assert messages(report).endswith('3 heads, but the annotations have 2 instances')
    assert (report.instances, report.images) == (4, 2)
    savemat(mpii / 'annotations/mpii_gt_val.mat', dict(headboxes_src=np.zeros((2, 2, 2))))
    assert check_config(config(mpii, MPII)).findings == []


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'CombinedDataset'])
def test_wrapped_datasets(coco: Path, wrapper: str) -> None:
    cfg = config(coco)
    inner = cfg.train_dataloader.dataset
    if wrapper == 'RepeatDataset':
        outer = dict(type=wrapper, dataset=inner, times=2)
    else:
        path = 'configs/_base_/datasets/coco.py'
        outer = dict(
            type=wrapper,
            metainfo=dict(from_file=path),
            datasets=[inner],
            pipeline=inner.pop('pipeline'),
        )
    cfg.train_dataloader.dataset = outer
    report = check_config(cfg)
    assert report.findings == []
    inner.data_prefix.img = 'nowhere'
    assert 'the image does not exist: ' in messages(check_config(cfg))


@DATASETS.register_module()
class OwnFormat(BaseDataset):
    """A dataset in a format of its own."""

    METAINFO: ClassVar[dict[str, Any]] = dict(
        num_keypoints=2,
        sigmas=[0.1, 0.1],
        dataset_keypoint_weights=[1, 1],
        flip_indices=[1, 0],
        flip_pairs=[(0, 1)],
    )

    def __init__(self, keypoints: int, **options: Any) -> None:
        self.keypoints = keypoints
        super().__init__(**options)

    def load_data_list(self) -> list[dict[str, Any]]:
        points = np.ones((1, self.keypoints, 2), np.float32)
        return [dict(img_path='nowhere.jpg', keypoints=points, img_id=1)]


def test_datasets_in_a_format_of_their_own() -> None:
    dataset = dict(type='OwnFormat', keypoints=3)
    report = check_config(Config(dict(train_dataloader=dict(dataset=dataset), model=None)))
    text = messages(report)
    assert 'number of keypoints is not that of the metainfo, 2: 1x (sample 0 (3))' in text
    assert 'the image does not exist: 1x (image nowhere.jpg)' in text
    dataset = dict(type='OwnFormat', keypoints=2, indices=[])
    report = check_config(Config(dict(train_dataloader=dict(dataset=dataset), model=None)))
    assert report.has_errors


@pytest.mark.parametrize('targets', ['heatmaps', 'keypoints'])
@pytest.mark.parametrize('boxes', [True, False])
def test_contact_sheets(coco: Path, targets: str, boxes: bool) -> None:
    changes = {} if boxes else {'val_dataloader.dataset.bbox_file': ''}
    cfg = config(coco, **changes, **{'model.head.decoder.targets': targets})
    step(cfg, 'train_dataloader', 'GenerateTarget').encoder.targets = targets
    np.random.seed(0)
    report = check_config(cfg, read_images=False, draw=True)
    assert report.findings == []
    # Crops are 224 high and 168 wide; heatmaps stand beside those with known keypoints.
    width, gap, columns = 168, 6, 4
    assert report.sheets['train'].shape[1] == columns * (2 * width + gap) + gap
    assert report.sheets['val'].shape[1] == columns * ((1 if boxes else 2) * width + gap) + gap
    heat = report.sheets['train'][gap : gap + 224, gap + width : gap + 2 * width].astype(int)
    red = (heat[..., 2] > 100) & (heat[..., :2].max(-1) < 30)
    assert red.any()  # peaks


def test_contact_sheets_without_coordinates(broken: Path) -> None:
    def unlabel(content: Any) -> None:
        for row in content['annotations']:
            row['keypoints'][:3] = [None, float('nan'), 0]
            row['num_keypoints'] = sum(v > 0 for v in row['keypoints'][2::3])

    edit(broken / TRAIN, unlabel)
    report = check_config(config(broken), read_images=False, draw=True)
    assert report.findings == []
    assert report.sheets['train'].any()


def test_contact_sheets_without_images(coco: Path) -> None:
    cfg = config(coco)
    cfg.val_dataloader = cfg.test_dataloader = None
    cfg.train_dataloader.dataset.pipeline = [dict(type='GetBBoxCenterScale')]
    report = check_config(cfg, read_images=False, draw=True)
    assert "no contact sheet can be made of it: KeyError: 'img'" in messages(report)
    assert report.sheets == {}


class TestCommand:
    def run(self, coco: Path, *arguments: str) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv('COCO_ROOT', str(coco))
            options = [f'{name}={value}' for name, value in SMALL.items()]
            return main(['check', *arguments, '--cfg-options', *options])

    def test_valid(self, coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(coco, 'hrnet-w32_coco-256x192', '--out', str(tmp_path / 'out')) == 0
        out = capsys.readouterr().out.splitlines()
        assert out[-1].endswith(' instances in 8 images: 0 errors, 0 warnings')
        for phase in ('train', 'val'):
            assert cv2.imread(str(tmp_path / f'out/{phase}_samples.jpg')) is not None

    def test_mistakes(self, broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
        edit(broken / TRAIN, lambda c: c['annotations'][0].update(area=0))
        assert self.run(broken, str(COCO), '--no-images') == 0
        out = capsys.readouterr().out
        assert f'warning: {broken / TRAIN}: no area above 0' in out
        edit(broken / TRAIN, lambda c: c['annotations'][0].update(image_id=0))
        assert self.run(broken, str(COCO), '--no-images') == 1
        out = capsys.readouterr().out
        assert f"error: {broken / TRAIN}: the image_id is not among the 'images'" in out
        assert ': 1 errors, ' in out.splitlines()[-1]

    @pytest.mark.parametrize('base', ['', "_base_ = '../nowhere.py'\n"])
    def test_old_config(
        self, tmp_path: Path, base: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / 'old.py'
        path.write_text(f"{base}total_epochs = 210\nmodel = dict(type='TopDown')")
        assert main(['check', str(path)]) == 1
        assert 'total_epochs: train_cfg = dict(by_epoch=True' in capsys.readouterr().out

    def test_another_task(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing of it is checked, and the error says so."""
        path = ROOT / 'configs/detection/hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py'
        assert main(['check', str(path)]) == 1
        out = capsys.readouterr().out.splitlines()
        assert len(out) == 2
        assert out[0].startswith("error: config: it is a config of MMDetection (default_scope='mm")
        assert out[0].endswith('Only configs of pose estimation are checked')

    def test_a_package_of_its_bases_is_missing(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = tmp_path / 'segmentation.py'
        path.write_text("_base_ = 'mmseg::_base_/default_runtime.py'")
        monkeypatch.setattr('mmengine.config.config.is_installed', lambda package: False)
        assert main(['check', str(path)]) == 2
        error = capsys.readouterr().err
        assert f'{path} needs mmseg' in error
        assert 'pip install mmsegmentation==1.2.2 ftfy regex installs it' in error

    def test_failing_custom_import(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / 'mine_that_fails.py').write_text('import libfoo_that_is_not_there')
        monkeypatch.syspath_prepend(tmp_path)
        path = tmp_path / 'config.py'
        path.write_text("custom_imports = dict(imports=['mine_that_fails'])")
        assert main(['check', str(path)]) == 2
        assert "No module named 'libfoo_that_is_not_there'" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ('arguments', 'message'),
        [
            (['hrnet-w23_coco-256x192'], "did you mean 'hrnet-w32_coco-256x192'?"),
            (['nowhere/mine.py'], 'the config nowhere/mine.py does not exist'),
            ([str(COCO), '--cfg-options', 'work_dir'], "'work_dir' is not KEY=VALUE"),
        ],
    )
    def test_wrong_usage(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(['check', *arguments]) == 2
        assert message in capsys.readouterr().err
