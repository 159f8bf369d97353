"""Runs whose pipelines and model do not agree, built with MMPose's own pipelines."""

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import mmpose
import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmpose.registry import MODELS
from mmpose.utils import register_all_modules
from torch import Tensor, nn

from hrnet_plugin.checks.config import check_config

METAINFO = str(Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets/coco.py')
SIZES = dict(input_size=(64, 64), heatmap_size=(16, 16), sigma=2)
OURS = dict(type='hrnet_plugin.GaussianHeatmap', **SIZES)
UDP = OURS | dict(variant='udp')
STOCK_UDP = dict(type='UDPHeatmap', **SIZES)
STOCK_MSRA = dict(type='MSRAHeatmap', **SIZES)
CODECS = ['msra', 'udp', 'stock msra', 'stock udp']


@MODELS.register_module()
class Backbone(nn.Conv2d):
    """One convolution, to 4 channels of a quarter of the size."""

    def __init__(self) -> None:
        super().__init__(3, 4, 4, stride=4)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (super().forward(x),)


@pytest.fixture(autouse=True)
def _runs_start_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the versions of compilers and the formatted config that runners log."""
    register_all_modules()
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    monkeypatch.setattr(Config, 'pretty_text', '')


@pytest.fixture(scope='module')
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture of one person, in COCO's format."""
    root = tmp_path_factory.mktemp('coco')
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    cv2.imwrite(str(root / '1.png'), noise)
    person = dict(
        id=1,
        image_id=1,
        category_id=1,
        bbox=[10, 10, 50, 60],
        area=3000,
        iscrowd=0,
        num_keypoints=17,
        keypoints=[30, 40, 2] * 17,
    )
    annotations = dict(
        images=[dict(id=1, file_name='1.png', width=80, height=80)],
        annotations=[person],
        categories=[dict(id=1, name='person')],
    )
    (root / 'people.json').write_text(json.dumps(annotations))
    return root


def config(coco: Path, work_dir: Path, codec: dict[str, Any] = OURS, udp: bool = False) -> Config:
    """A run in which everything agrees, for the codec and whether the affine follows UDP."""
    first = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(64, 64), use_udp=udp),
    ]
    dataset = dict(
        type='CocoDataset',
        data_root=str(coco),
        data_mode='topdown',
        ann_file='people.json',
        data_prefix=dict(img=''),
        metainfo=dict(from_file=METAINFO),
    )
    train = [*first, dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')]
    loader = dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    test_loader = loader | dict(
        dataset=dataset | dict(pipeline=[*first, dict(type='PackPoseInputs')], test_mode=True)
    )
    evaluator = dict(type='hrnet_plugin.OKSMetric', ann_file=str(coco / 'people.json'))
    return Config(
        dict(
            default_scope='mmpose',
            work_dir=str(work_dir),
            experiment_name=work_dir.name,
            log_level='ERROR',
            custom_hooks=[dict(type='hrnet_plugin.PreflightHook')],
            model=dict(
                type='TopdownPoseEstimator',
                data_preprocessor=dict(type='PoseDataPreprocessor'),
                backbone=dict(type='Backbone'),
                head=dict(
                    type='hrnet_plugin.HeatmapHead', in_channels=4, out_channels=17, decoder=codec
                ),
                test_cfg=dict(flip_test=True, shift_heatmap=not udp),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            val_cfg=dict(),
            test_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
            train_dataloader=loader | dict(dataset=dataset | dict(pipeline=train)),
            val_dataloader=test_loader,
            test_dataloader=test_loader,
            val_evaluator=evaluator,
            test_evaluator=evaluator,
        )
    )


def step(cfg: Config, loader: str, name: str) -> ConfigDict:
    pipeline = cfg[loader].dataset.pipeline
    return next(s for s in pipeline if s['type'] == name)


def refuses(cfg: Config, message: str, run: str = 'train') -> None:
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=message):
        getattr(runner, run)()
    # Nothing has been done, nor loaded.
    assert runner.iter == 0


@pytest.mark.parametrize('codec', [OURS, UDP, STOCK_MSRA, STOCK_UDP], ids=CODECS)
def test_what_agrees_is_run(coco: Path, tmp_path: Path, codec: dict[str, Any]) -> None:
    udp = codec in (UDP, STOCK_UDP)
    runner = Runner.from_cfg(config(coco, tmp_path, codec, udp))
    runner.train()
    assert runner.iter == 1


# user_pains 24
@pytest.mark.parametrize('codec', [UDP, STOCK_UDP], ids=['ours', 'stock'])
def test_udp_codec_with_another_affine(coco: Path, tmp_path: Path, codec: dict[str, Any]) -> None:
    cfg = config(coco, tmp_path, codec, udp=True)
    step(cfg, 'train_dataloader', 'TopdownAffine').use_udp = False
    refuses(cfg, 'train: TopdownAffine has use_udp=False, but the codec of GenerateTarget follows')


# user_pains 24
@pytest.mark.parametrize('codec', [OURS, STOCK_MSRA], ids=['ours', 'stock'])
def test_udp_affine_with_another_codec(coco: Path, tmp_path: Path, codec: dict[str, Any]) -> None:
    cfg = config(coco, tmp_path, codec)
    step(cfg, 'test_dataloader', 'TopdownAffine').use_udp = True
    refuses(cfg, 'test: .* use_udp=True, but head.decoder does not follow UDP', run='test')


def test_decoder_is_compared_with_training_too(coco: Path, tmp_path: Path) -> None:
    cfg = config(coco, tmp_path)
    cfg.model.head.decoder.variant = 'udp'
    cfg.model.test_cfg.shift_heatmap = False
    refuses(cfg, 'train: .* use_udp=False, but head.decoder follows UDP')


# user_pains 24
def test_shifted_udp_heatmaps(coco: Path, tmp_path: Path) -> None:
    """Our estimator refuses to be built; stock's is caught here."""
    cfg = config(coco, tmp_path, UDP, udp=True)
    cfg.model.test_cfg.shift_heatmap = True
    refuses(cfg, 'shift_heatmap=True, but the decoder follows UDP', run='test')
    cfg.model.type = 'hrnet_plugin.TopdownPoseEstimator'
    with pytest.raises(ValueError, match='shift_heatmap=True, but the decoder follows UDP'):
        Runner.from_cfg(cfg)


def test_sizes(coco: Path, tmp_path: Path) -> None:
    cfg = config(coco, tmp_path)
    for loader in ('train_dataloader', 'val_dataloader'):
        step(cfg, loader, 'TopdownAffine').input_size = (96, 64)
    refuses(cfg, r'(?s)train: .*\(96, 64\), but head.decoder has \(64, 64\).*val: ')
    cfg = config(coco, tmp_path)
    step(cfg, 'train_dataloader', 'GenerateTarget').encoder.heatmap_size = (32, 32)
    refuses(cfg, r'GenerateTarget has heatmaps of .*\(32, 32\), but head.decoder of .* \(16, 16\)')


def metainfo(*names: str) -> dict[str, Any]:
    """Keypoints of which none are swapped."""
    points = {i: dict(name=name, id=i, swap='') for i, name in enumerate(names)}
    many = len(names)
    return dict(
        dataset_name='faces',
        keypoint_info=points,
        skeleton_info={},
        joint_weights=[1.0] * many,
        sigmas=[0.1] * many,
    )


def unswapped(coco: Path, tmp_path: Path, *names: str) -> Config:
    cfg = config(coco, tmp_path)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[loader].dataset.metainfo = metainfo(*names)
    cfg.model.test_cfg.flip_test = False
    cfg.train_dataloader.dataset.pipeline.insert(2, dict(type='RandomFlip'))
    return cfg


SIDES = [f'{side}_{i}' for i in range(8) for side in 'lr'] + ['nose']
NO_SIDES = [f'kpt-{i}' for i in range(17)]


def test_flips_that_swap_no_sides(coco: Path, tmp_path: Path) -> None:
    cfg = unswapped(coco, tmp_path, *SIDES)
    refuses(cfg, "train: RandomFlip mirrors images, but the metainfo has no `swap` for 'l_0' and")
    flip = step(cfg, 'train_dataloader', 'RandomFlip')
    flip.update(direction=['diagonal', 'vertical'], prob=[0.5, 0.25])
    refuses(cfg, 'train: RandomFlip mirrors images')
    flip.update(prob=[1.0, 0.0])  # a rotation: left stays left
    cfg.model.test_cfg.flip_test = True
    refuses(cfg, 'val: model.test_cfg.flip_test mirrors images')
    cfg.model.test_cfg.flip_test = False
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 1


def test_flips_without_pairs_are_said(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    for names, warnings in ((NO_SIDES, 1), (SIDES, 0)):
        cfg = unswapped(coco, tmp_path, *names)
        if not warnings:
            cfg.train_dataloader.dataset.pipeline.pop(2)  # no flip
        runner = Runner.from_cfg(cfg)
        monkeypatch.setattr(runner.logger, 'warning', said.append)
        runner.train()
        assert runner.iter == 1
        found = [
            text for text in said if 'train: RandomFlip mirrors images, but the metainfo' in text
        ]
        assert len(found) == warnings
        said.clear()


@pytest.mark.parametrize(
    'codec', [UDP, OURS | dict(targets='keypoints')], ids=['udp', 'keypoints']
)
def test_instances_without_keypoints_are_left_out(
    coco: Path, tmp_path: Path, codec: dict[str, Any]
) -> None:
    """Trained with and evaluated: other categories, nobody in view, coordinates that are null."""
    content = json.loads((coco / 'people.json').read_text())
    person = content['annotations'][0]
    content['categories'].append(dict(id=2, name='cage'))
    content['annotations'] += [
        dict(id=2, image_id=1, category_id=2, bbox=[1, 1, 9, 9], area=81, iscrowd=0),
        dict(person, id=3, keypoints=[], num_keypoints=0, bbox=[0, 0, 0, 0], area=0),
    ]
    person['keypoints'] = [None, float('nan'), 0, *person['keypoints'][3:]]
    path = tmp_path / 'people.json'
    path.write_text(json.dumps(content))
    udp = codec is UDP
    cfg = config(coco, tmp_path, codec, udp)
    for phase in ('train', 'val', 'test'):
        cfg[f'{phase}_dataloader'].dataset.ann_file = str(path)
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = str(path)
    assert not check_config(cfg).has_errors
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 1
    assert len(runner.train_dataloader.dataset) == 1
    assert all(p.isfinite().all() for p in runner.model.parameters())
    assert runner.message_hub.get_scalar('train/loss').current() > 0
    assert runner.message_hub.get_scalar('val/coco/AP').current() >= 0


def test_number_of_keypoints(coco: Path, tmp_path: Path) -> None:
    cfg = config(coco, tmp_path)
    cfg.model.head.out_channels = 16
    refuses(cfg, '17 keypoints in the dataset, but head.out_channels=16')
    cfg = config(coco, tmp_path)
    step(cfg, 'train_dataloader', 'GenerateTarget').encoder.sigma = [2.0, 3.0]
    refuses(cfg, 'the codec of GenerateTarget does not fit the dataset: 17 keypoints, but 2 values')


def test_channels_in_stocks_company(coco: Path, tmp_path: Path) -> None:
    """Our estimator refuses to be built; stock's is caught here."""
    cfg = config(coco, tmp_path)
    cfg.model.backbone = dict(type='hrnet_plugin.HRNet', arch='w18-small-v1')
    refuses(cfg, 'head.in_channels=4, but stream 0 of the backbone has 16 channels')
    cfg.model.head.type = 'HeatmapHead'
    cfg.model.head.update(deconv_out_channels=None, out_channels=16)
    refuses(cfg, '17 keypoints in the dataset, but head.out_channels=16')


def test_everything_at_once(coco: Path, tmp_path: Path) -> None:
    cfg = config(coco, tmp_path)
    cfg.model.head.out_channels = 16
    step(cfg, 'train_dataloader', 'TopdownAffine').use_udp = True
    step(cfg, 'val_dataloader', 'TopdownAffine').input_size = (64, 96)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match='do not agree') as error:
        runner.train()
    lines = str(error.value).splitlines()[1:]
    assert [line.split(':')[0] for line in lines] == ['train'] * 3 + ['val'] * 2


@pytest.mark.parametrize('wrapper', ['CombinedDataset', 'RepeatDataset'])
def test_wrapped_datasets(coco: Path, tmp_path: Path, wrapper: str) -> None:
    """Of a combined data set, steps before and after it is combined."""
    cfg = config(coco, tmp_path, UDP, udp=True)
    inner = copy.deepcopy(cfg.train_dataloader.dataset)
    affine = step(cfg, 'train_dataloader', 'TopdownAffine')
    if wrapper == 'RepeatDataset':
        outer = dict(type='RepeatDataset', dataset=inner, times=1)
        next(s for s in inner.pipeline if s['type'] == 'TopdownAffine').use_udp = False
    else:
        affine.use_udp = False
        outer = dict(
            type='CombinedDataset',
            metainfo=dict(from_file=METAINFO),
            datasets=[inner | dict(pipeline=[])],
            pipeline=cfg.train_dataloader.dataset.pipeline,
        )
    cfg.train_dataloader.dataset = outer
    refuses(cfg, 'train: TopdownAffine has use_udp=False')


def test_other_codecs_are_none_of_its_business(coco: Path, tmp_path: Path) -> None:
    """SimCC's, say: an affine that follows UDP is not wrong there."""
    simcc = dict(type='SimCCLabel', input_size=(64, 64))
    cfg = config(coco, tmp_path)
    cfg.model.head = dict(
        type='SimCCHead',
        in_channels=4,
        out_channels=17,
        input_size=(64, 64),
        in_featuremap_size=(16, 16),
        deconv_out_channels=None,
        decoder=simcc,
    )
    step(cfg, 'train_dataloader', 'GenerateTarget').encoder = simcc
    step(cfg, 'train_dataloader', 'TopdownAffine').use_udp = True
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 1
