"""Pipelines and models that do not agree, built with MMPose's own transforms."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.registry import DATASETS, MODELS
from mmpose.utils import register_all_modules
from support.small_run import (
    METAINFO,
    OURS,
    STOCK_MSRA,
    STOCK_UDP,
    UDP,
    small_run,
    step,
    write_image_and_annotations,
)

from hrnet_plugin.checks.config import check_config
from hrnet_plugin.checks.pipelines import decoder_of, disagreements, flip_warning, output_error

PHASES = ('train', 'val', 'test')


@pytest.fixture(autouse=True)
def _runs_start_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the versions of compilers and the formatted config that runners log."""
    register_all_modules()
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    monkeypatch.setattr(Config, 'pretty_text', '')


@pytest.fixture(scope='module')
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('coco')
    write_image_and_annotations(root)
    return root


def problems(cfg: Config, phase: str = 'train') -> list[str]:
    dataset = DATASETS.build(cfg[f'{phase}_dataloader'].dataset)
    return disagreements(dataset, MODELS.build(cfg.model))


def the_problem(cfg: Config, phase: str = 'train') -> str:
    (problem,) = problems(cfg, phase)
    return problem


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 1
    return runner


class TestHook:
    def test_lets_what_agrees_run(self, coco: Path, tmp_path: Path) -> None:
        run(small_run(coco, tmp_path, UDP, udp=True))

    def test_refuses_everything_at_once(self, coco: Path, tmp_path: Path) -> None:
        cfg = small_run(coco, tmp_path, OURS)
        cfg.model.head.out_channels = 16
        step(cfg, 'train', 'TopdownAffine').use_udp = True
        step(cfg, 'val', 'TopdownAffine').input_size = (64, 96)
        runner = Runner.from_cfg(cfg)
        with pytest.raises(ValueError, match='do not agree') as error:
            runner.train()
        lines = str(error.value).splitlines()[1:]
        assert [line.split(':')[0] for line in lines] == ['train'] * 3 + ['val'] * 2
        assert runner.iter == 0

    def test_refuses_to_test(self, coco: Path, tmp_path: Path) -> None:
        cfg = small_run(coco, tmp_path, OURS)
        step(cfg, 'test', 'TopdownAffine').use_udp = True
        with pytest.raises(ValueError, match=r'test: .* but head.decoder does not follow UDP'):
            Runner.from_cfg(cfg).test()

    @pytest.mark.parametrize('flips', [True, False])
    def test_warns_of_flips_without_pairs(
        self, coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flips: bool
    ) -> None:
        cfg = unswapped(coco, tmp_path, *NO_SIDES)
        if not flips:
            cfg.train_dataloader.dataset.pipeline.pop(2)
        runner = Runner.from_cfg(cfg)
        warnings: list[str] = []
        monkeypatch.setattr(runner.logger, 'warning', warnings.append)
        runner.train()
        about_flips = [
            w for w in warnings if w.startswith('train: RandomFlip mirrors images, but')
        ]
        assert len(about_flips) == flips


@pytest.mark.parametrize(
    'codec', [OURS, UDP, STOCK_MSRA, STOCK_UDP], ids=['msra', 'udp', 'stock msra', 'stock udp']
)
def test_udp(coco: Path, tmp_path: Path, codec: dict[str, Any]) -> None:
    """Codec, affine and flip test have to follow it alike."""
    udp = codec in (UDP, STOCK_UDP)
    cfg = small_run(coco, tmp_path, codec, udp)
    assert [problems(cfg, phase) for phase in PHASES] == [[], [], []]

    step(cfg, 'train', 'TopdownAffine').use_udp = not udp
    verb = 'follows' if udp else 'does not follow'
    assert problems(cfg) == [
        f'TopdownAffine has use_udp={not udp}, but {name} {verb} UDP; set both alike'
        for name in ('the codec of GenerateTarget', 'head.decoder')
    ]

    cfg = small_run(coco, tmp_path, codec, udp)
    cfg.model.test_cfg.shift_heatmap = True
    shifted = problems(cfg, 'test')
    assert len(shifted) == udp
    assert all('shift_heatmap=True, but the decoder follows UDP' in p for p in shifted)


def test_decoder_is_compared_with_training_too(coco: Path, tmp_path: Path) -> None:
    cfg = small_run(coco, tmp_path, OURS)
    cfg.model.head.decoder.variant = 'udp'
    cfg.model.test_cfg.shift_heatmap = False
    assert 'use_udp=False, but head.decoder follows UDP' in the_problem(cfg)


def test_our_estimator_refuses_shifted_udp_heatmaps(coco: Path, tmp_path: Path) -> None:
    cfg = small_run(coco, tmp_path, UDP, udp=True)
    cfg.model.update(type='hrnet_plugin.TopdownPoseEstimator')
    cfg.model.test_cfg.shift_heatmap = True
    with pytest.raises(ValueError, match='shift_heatmap=True, but the decoder follows UDP'):
        MODELS.build(cfg.model)


def test_sizes(coco: Path, tmp_path: Path) -> None:
    cfg = small_run(coco, tmp_path, OURS)
    step(cfg, 'val', 'TopdownAffine').input_size = (96, 64)
    assert '(96, 64), but head.decoder has (64, 64)' in the_problem(cfg, 'val')
    step(cfg, 'train', 'GenerateTarget').encoder.heatmap_size = (32, 32)
    assert the_problem(cfg) == (
        'the codec of GenerateTarget has heatmaps of (w, h) = (32, 32), but head.decoder of '
        '(w, h) = (16, 16); set both alike'
    )


@pytest.mark.parametrize('codec', [OURS, STOCK_MSRA], ids=['ours', 'stock'])
def test_output_of_another_size(coco: Path, tmp_path: Path, codec: dict[str, Any]) -> None:
    decoder = decoder_of(MODELS.build(small_run(coco, tmp_path, codec).model))
    assert decoder is not None
    outputs = decoder.encode_batch(torch.zeros(1, 17, 2))[0]
    assert output_error(outputs, decoder) is None
    # Stages of another head
    assert output_error([outputs[..., 1:]] * 2, decoder) is None
    error = output_error(outputs[..., 1:], decoder)
    assert error is not None
    assert error.startswith(
        'its heatmaps are (w, h) = (15, 16) of an input of (64, 64), but head.decoder has '
        '(w, h) = (16, 16)'
    )


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
    cfg = small_run(coco, tmp_path, OURS)
    for phase in PHASES:
        cfg[f'{phase}_dataloader'].dataset.metainfo = metainfo(*names)
    cfg.model.test_cfg.flip_test = False
    cfg.train_dataloader.dataset.pipeline.insert(2, dict(type='RandomFlip'))
    return cfg


SIDES = [f'{side}_{i}' for i in range(8) for side in 'lr'] + ['nose']
NO_SIDES = [f'kpt-{i}' for i in range(17)]


def test_flips_that_swap_no_sides(coco: Path, tmp_path: Path) -> None:
    cfg = unswapped(coco, tmp_path, *SIDES)
    assert the_problem(cfg).startswith(
        "RandomFlip mirrors images, but the metainfo has no `swap` for 'l_0' and"
    )
    flip = step(cfg, 'train', 'RandomFlip')
    flip.update(direction=['diagonal', 'vertical'], prob=[0.5, 0.25])
    assert the_problem(cfg).startswith('RandomFlip mirrors images')
    flip.update(prob=[1.0, 0.0])  # a rotation: left stays left
    assert problems(cfg) == problems(cfg, 'val') == []
    cfg.model.test_cfg.flip_test = True
    assert problems(cfg) == []
    assert the_problem(cfg, 'val').startswith('model.test_cfg.flip_test mirrors images')


def test_flips_of_keypoints_without_sides(coco: Path, tmp_path: Path) -> None:
    cfg = unswapped(coco, tmp_path, *NO_SIDES)
    assert problems(cfg) == []
    model = MODELS.build(cfg.model)
    warning = flip_warning(DATASETS.build(cfg.train_dataloader.dataset), model)
    assert warning is not None
    assert warning.startswith('RandomFlip mirrors images, but the metainfo swaps no keypoints')
    assert flip_warning(DATASETS.build(cfg.val_dataloader.dataset), model) is None


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
    cfg = small_run(coco, tmp_path, codec, udp=codec is UDP)
    for phase in PHASES:
        cfg[f'{phase}_dataloader'].dataset.ann_file = str(path)
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = str(path)
    assert not check_config(cfg).has_errors
    runner = run(cfg)
    assert len(runner.train_dataloader.dataset) == 1
    assert all(p.isfinite().all() for p in runner.model.parameters())
    assert runner.message_hub.get_scalar('train/loss').current() > 0
    assert runner.message_hub.get_scalar('val/coco/AP').current() >= 0


def test_number_of_keypoints(coco: Path, tmp_path: Path) -> None:
    cfg = small_run(coco, tmp_path, OURS)
    cfg.model.head.out_channels = 16
    assert the_problem(cfg) == '17 keypoints in the dataset, but head.out_channels=16'
    cfg = small_run(coco, tmp_path, OURS)
    step(cfg, 'train', 'GenerateTarget').encoder.sigma = [2.0, 3.0]
    assert the_problem(cfg).startswith(
        'the codec of GenerateTarget does not fit the dataset: 17 keypoints, but 2 values of sigma'
    )


def test_channels_of_discs_and_offsets(coco: Path, tmp_path: Path) -> None:
    """Stock's UDPHeatmap can encode a keypoint as three maps."""
    cfg = small_run(coco, tmp_path, STOCK_UDP | dict(heatmap_type='combined'), udp=True)
    cfg.model.head.update(type='HeatmapHead', deconv_out_channels=None, out_channels=51)
    assert problems(cfg) == []
    cfg.model.head.out_channels = 17
    assert the_problem(cfg).endswith('head.out_channels=17; its decoder expects 51')


def test_channels_with_stocks_estimator(coco: Path, tmp_path: Path) -> None:
    """Our estimator refuses to be built; stock's is caught here."""
    cfg = small_run(coco, tmp_path, OURS)
    cfg.model.backbone = dict(type='hrnet_plugin.LiteHRNet', arch='lite-18')
    assert the_problem(cfg).startswith(
        'head.in_channels=4, but stream 0 of the backbone has 40 channels'
    )
    cfg.model.neck = dict(type='hrnet_plugin.ConcatStreams', in_channels=(40, 40))
    assert the_problem(cfg).startswith(
        'ConcatStreams.in_channels=(40, 40), but the backbone puts out 1 stream(s), of (40,)'
    )
    del cfg.model.neck
    cfg.model.head.update(type='HeatmapHead', deconv_out_channels=None, out_channels=16)
    assert the_problem(cfg) == '17 keypoints in the dataset, but head.out_channels=16'


@pytest.mark.parametrize('wrapper', ['CombinedDataset', 'RepeatDataset'])
def test_wrapped_datasets(coco: Path, tmp_path: Path, wrapper: str) -> None:
    """Of a combined dataset, steps before and after it is combined."""
    cfg = small_run(coco, tmp_path, UDP, udp=True)
    inner = copy.deepcopy(cfg.train_dataloader.dataset)
    if wrapper == 'RepeatDataset':
        outer = dict(type='RepeatDataset', dataset=inner, times=1)
        next(s for s in inner.pipeline if s['type'] == 'TopdownAffine').use_udp = False
    else:
        step(cfg, 'train', 'TopdownAffine').use_udp = False
        outer = dict(
            type='CombinedDataset',
            metainfo=dict(from_file=METAINFO),
            datasets=[inner | dict(pipeline=[])],
            pipeline=cfg.train_dataloader.dataset.pipeline,
        )
    cfg.train_dataloader.dataset = outer
    assert [p[:34] for p in problems(cfg)] == ['TopdownAffine has use_udp=False, b'] * 2


def test_codecs_outside_the_protocol_are_not_compared(coco: Path, tmp_path: Path) -> None:
    """Such as stock's SimCC: an affine that follows UDP is not wrong there."""
    simcc = dict(type='SimCCLabel', input_size=(64, 64))
    cfg = small_run(coco, tmp_path, OURS)
    cfg.model.head = dict(
        type='SimCCHead',
        in_channels=4,
        out_channels=17,
        input_size=(64, 64),
        in_featuremap_size=(16, 16),
        deconv_out_channels=None,
        decoder=simcc,
    )
    step(cfg, 'train', 'GenerateTarget').encoder = simcc
    step(cfg, 'train', 'TopdownAffine').use_udp = True
    assert problems(cfg) == []
