"""Configs of segmentation, detection and classification: as published, and they train."""

import functools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, DefaultScope, init_default_scope
from mmengine.runner import Runner
from support.config_files import (
    CONFIGS,
    base_files,
    flat_settings,
    literals,
    merged_bases,
    read_config,
)
from support.optional import is_installed, needs
from support.paths import ROOT
from support.task_datasets import HEIGHT, WIDTH, write_task_datasets
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

SCOPES = dict(segmentation='mmseg', detection='mmdet', classification='mmpretrain')
OURS = [p for p in CONFIGS if set(SCOPES) & set(p.parts)]
SEGMENTATION, DETECTION, CLASSIFICATION = ([p for p in OURS if task in p.parts] for task in SCOPES)
BASES = [p for p in CONFIGS if '_base_' in p.parts]
DEMOS = [p for p in CONFIGS if 'demo' in p.parts]  # they train in test_task_demos.py
INSTALLED = [scope for scope in SCOPES.values() if is_installed(scope)]
STOCK = {
    scope: {
        p.name: p
        for p in (Path(str(find_spec(scope).origin)).parent / '.mim/configs').rglob('*.py')
        if p.parent.name == 'hrnet' and '_base_' not in p.parts
    }
    for scope in INSTALLED
}


# The published recipes


@dataclass(frozen=True)
class Recipe:
    """How a model was trained.

    Attributes:
        batch: Images per step.
        size: (height, width) of the images in training; of detection, (shorter, longer) side.
        length: Iterations in segmentation, else epochs; epochs also where ``images`` are given.
        rates: The learning rate over time.
        images: Images of an epoch, where the publication counts epochs and the config iterations.
        weighted: Whether the loss weights classes.
        hard_pixels: Threshold of hard example mining, and pixels kept of all images of a GPU.
        head_lr: Factor of the learning rate of heads.
    """

    optimizer: str
    lr: float
    weight_decay: float
    batch: int
    size: tuple[int, int]
    length: float
    rates: str
    images: int = 0
    weighted: bool = False
    hard_pixels: tuple[float, int] | None = None
    head_lr: float = 1


# FCN: MMSegmentation's, and for LIP the official one. OCRNet: the official branch HRNet-OCR.
# Detection: MMDetection's. HRFormer and classification: the official ones.
FCOS = Recipe('SGD', 0.01, 1e-4, 16, (800, 1333), 12, 'constant, steps')
FASTER = Recipe('SGD', 0.02, 1e-4, 16, (800, 1333), 12, 'linear, steps')
RECIPES = {
    'fcn cityscapes': Recipe('SGD', 0.01, 5e-4, 8, (512, 1024), 160_000, 'poly to 1e-4'),
    'fcn pascal-context-59': Recipe('SGD', 0.004, 1e-4, 16, (480, 480), 80_000, 'poly to 1e-4'),
    'fcn ade20k': Recipe('SGD', 0.01, 5e-4, 16, (512, 512), 160_000, 'poly to 1e-4'),
    'fcn lip': Recipe('SGD', 0.007, 5e-4, 40, (473, 473), 150, 'poly to 0', 30_462),
    'ocrnet cityscapes': Recipe(
        'SGD', 0.01, 5e-4, 12, (512, 1024), 484, 'poly to 0', 2975, weighted=True
    ),
    'ocrnet pascal-context-59': Recipe(
        'SGD', 0.001, 1e-4, 16, (520, 520), 200, 'poly to 0', 4998, head_lr=10
    ),
    'ocrnet ade20k': Recipe(
        'SGD', 0.02, 1e-4, 16, (520, 520), 120, 'poly to 0', 20_210, hard_pixels=(0.9, 131_072)
    ),
    'ocrnet lip': Recipe('SGD', 0.007, 5e-4, 40, (473, 473), 150, 'poly to 0', 30_462),
    'ocrnet-hrformer cityscapes': Recipe(
        *('AdamW', 1e-4, 0.01, 8, (512, 1024), 80_000, 'linear, poly to 0'),
        weighted=True,
        hard_pixels=(0.9, 100_000),
    ),
    'ocrnet-hrformer pascal-context-59': Recipe(
        *('AdamW', 1e-4, 0.01, 16, (520, 520), 60_000, 'linear, poly to 0'),
        hard_pixels=(0.7, 100_000),
    ),
    'ocrnet-hrformer ade20k': Recipe(
        *('AdamW', 1e-4, 0.01, 8, (520, 520), 150_000, 'linear, poly to 0'),
        hard_pixels=(0.9, 100_000),
    ),
    'faster-rcnn 1x': FASTER,
    'faster-rcnn 2x': Recipe('SGD', 0.02, 1e-4, 16, (800, 1333), 24, 'linear, steps'),
    'mask-rcnn 1x': FASTER,
    'mask-rcnn 2x': Recipe('SGD', 0.02, 1e-4, 16, (800, 1333), 24, 'linear, steps'),
    'cascade-rcnn 20e': Recipe('SGD', 0.02, 1e-4, 16, (800, 1333), 20, 'linear, steps'),
    'fcos 1x': FCOS,
    'fcos 2x': Recipe('SGD', 0.01, 1e-4, 16, (800, 1333), 24, 'linear, steps'),
    'hrnet in1k': Recipe('SGD', 0.05, 1e-4, 128, (224, 224), 100, 'thirds'),
    'hrformer in1k': Recipe('AdamW', 1e-3, 0.05, 1024, (224, 224), 300, 'linear, cosine to 1e-5'),
}
STEPS = {12: [8, 11], 24: [16, 22], 20: [16, 19]}  # epochs after which detectors learn slower

# What names say: the architecture, and the channels of stream 0
WIDTHS = {
    'hr18s-v1': ('w18-small-v1', 16),
    'hr18s': ('w18-small-v2', 18),
    'hr18': ('w18', 18),
    'hr48': ('w48', 48),
    'hrformer-s': ('small', 32),
    'hrformer-b': ('base', 78),
    'w18-small-v1': ('w18-small-v1', 16),
    'w18-small-v2': ('w18-small-v2', 18),
    'tiny': ('tiny', 18),
    'small': ('small', 32),
    'base': ('base', 78),
    **{f'w{n}': (f'w{n}', n) for n in (18, 30, 32, 40, 44, 48, 64)},
}
CLASSES = {'cityscapes': 19, 'pascal-context-59': 59, 'ade20k': 150, 'lip': 20}
BILINEAR = dict(mode='bilinear', align_corners=False)
UPSAMPLES = {
    'fcn': BILINEAR,
    'ocrnet': BILINEAR | dict(align_corners=True),
    'ocrnet-hrformer': dict(mode='nearest', align_corners=True),
}
# Chances to drop a path in the last block: HRFormer's pose models have others
DROP_PATHS = {
    'segmentation': {'small': 0.2, 'base': 0.2},
    'classification': {'tiny': 0, 'small': 0, 'base': 0.2},
}
# The official scripts of wide windows
WIDE_DROP_PATHS = {('15', 'cityscapes'): 0.4, ('15', 'pascal-context-59'): 0.3}


@dataclass(frozen=True)
class Name:
    """What the name of a config says, as stock names configs."""

    task: str
    kind: str
    width: str
    data: str
    batch: int = 16  # images per step
    gpus: int = 8
    window: str = ''
    schedule: str = ''

    @property
    def recipe(self) -> Recipe:
        return RECIPES[f'{self.kind} {self.schedule or self.data}']

    @property
    def arch(self) -> str:
        return WIDTHS[self.width][0]

    @property
    def channels(self) -> list[int]:
        return [WIDTHS[self.width][1] * 2**i for i in range(4)]

    @classmethod
    def of(cls, path: Path) -> 'Name':
        task = path.relative_to(ROOT / 'configs').parts[0]
        if task == 'segmentation':
            pattern = r'(fcn|ocrnet)_(.+?)(?:-w(1\d))?_(\d)xb(\d+)-\d+k_(.+)-\d+x\d+'
            kind, width, window, gpus, batch, data = re.fullmatch(pattern, path.stem).groups()  # type: ignore[union-attr]
            kind += '-hrformer' * ('hrformer' in width)
            total = int(gpus) * int(batch)
            return cls(task, kind, width, data, total, int(gpus), window or '')
        if task == 'detection':
            pattern = r'(.+)_hrnetv2p-(w\d+)[_-].*?(1x|2x|20e)_coco'
            kind, width, schedule = re.fullmatch(pattern, path.stem).groups()  # type: ignore[union-attr]
            return cls(
                task, kind, width, 'coco', gpus=4 if '4xb4' in path.stem else 8, schedule=schedule
            )
        pattern = r'(hrnet|hrformer)-(.+)_(\d)xb(\d+)_(in1k)'
        kind, width, gpus, batch, data = re.fullmatch(pattern, path.stem).groups()  # type: ignore[union-attr]
        return cls(task, kind, width, data, int(gpus) * int(batch), int(gpus))


def named(
    paths: list[Path], slow: Callable[[Path], bool] = lambda path: False, **options: Any
) -> pytest.MarkDecorator:
    """Parametrize a test with configs; some take long, some need a package that is missing."""
    assert paths
    rows = [
        pytest.param(
            path,
            id=path.stem,
            marks=[needs(*packages_of(path)), *([pytest.mark.slow] if slow(path) else [])],
        )
        for path in paths
    ]
    return pytest.mark.parametrize('path', rows, **options)


@functools.cache
def packages_of(path: Path) -> tuple[str, ...]:
    """Return the packages whose configs a config builds on, through all of its bases."""
    packages: set[str] = set()
    for base in base_files(path):
        if '::' in base:
            packages.add(base.partition('::')[0])
        else:
            packages.update(packages_of((path.parent / base).resolve()))
    return tuple(sorted(packages))


@functools.cache
def cached(path: Path) -> Config:
    return read_config(path)


@pytest.fixture(autouse=True)
def _scope_is_left_as_it_was() -> Iterator[None]:
    before = DefaultScope.get_current_instance()
    yield
    init_default_scope(before.scope_name if before else 'mmpose')


@functools.cache
def built(path: Path) -> nn.Module:
    """Build the model of a config on the device `meta`."""
    config = cached(path)
    init_default_scope(config.default_scope)
    with pytest.MonkeyPatch.context() as patch, torch.device('meta'):
        # Stock modules read values of these tensors.
        patch.setattr(torch, 'linspace', functools.partial(torch.linspace, device='cpu'))
        return MODELS.build(config.model)


@named(OURS)
def test_parses_and_is_what_its_name_says(path: Path) -> None:
    config, name = cached(path), Name.of(path)
    assert config.default_scope == SCOPES[name.task]
    assert config.custom_imports == dict(imports=['hrnet_plugin'], allow_failed_imports=False)
    assert config.default_hooks.checkpoint.type == 'hrnet_plugin.AtomicCheckpointHook'
    backbone = config.model.backbone
    family = 'HRFormer' if 'hrformer' in name.kind else 'HRNet'
    assert backbone.type == f'hrnet_plugin.{family}'
    assert backbone.arch == name.arch
    assert backbone.multiscale_output
    assert backbone.get('norm_eval', False) == (name.task == 'detection')
    recipe = name.recipe
    assert config.auto_scale_lr.base_batch_size == name.batch == recipe.batch
    assert config.train_dataloader.batch_size * name.gpus == name.batch


@named(OURS)
def test_recipe(path: Path) -> None:
    config, name = cached(path), Name.of(path)
    recipe = name.recipe
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == (recipe.optimizer, recipe.lr)
    assert optimizer.weight_decay == recipe.weight_decay
    if recipe.optimizer == 'SGD':
        assert optimizer.momentum == 0.9
        assert optimizer.get('nesterov', False) == (name.task == 'classification')
    if name.task == 'segmentation':
        length = config.train_cfg.max_iters
        if recipe.images:  # of the last epoch, what is left after whole batches is dropped
            length /= recipe.images // recipe.batch
        assert config.default_hooks.checkpoint.interval == config.train_cfg.val_interval
        assert config.train_cfg.val_interval == config.train_cfg.max_iters // 10
    else:
        length = config.train_cfg.max_epochs
    assert length == recipe.length
    assert rates_of(config, name) == recipe.rates
    factor = config.optim_wrapper.get('paramwise_cfg', {}).get('custom_keys', {})
    assert factor.get('decode_head', {}).get('lr_mult', 1) == recipe.head_lr


def rates_of(config: Config, name: Name) -> str:
    """Describe the learning rate over time, after checking its numbers."""
    schedulers = config.param_scheduler
    schedulers = schedulers if isinstance(schedulers, list) else [schedulers]
    words = []
    for scheduler in schedulers:
        kind = scheduler['type']
        if kind in ('LinearLR', 'ConstantLR') and name.task == 'detection':
            start = scheduler.get('start_factor') or scheduler.get('factor')
            assert start == {'LinearLR': 0.001, 'ConstantLR': 1 / 3}[kind]
            assert (scheduler.begin, scheduler.end, scheduler.by_epoch) == (0, 500, False)
        if kind == 'LinearLR' and name.task == 'segmentation':
            assert (scheduler.begin, scheduler.end, scheduler.by_epoch) == (0, 1500, False)
            assert scheduler.start_factor == 1e-6
        if kind == 'LinearLR' and name.task == 'classification':
            assert (scheduler.end, scheduler.convert_to_iter_based) == (20, True)
        if kind == 'PolyLR':
            assert (scheduler.power, scheduler.by_epoch) == (0.9, False)
            assert scheduler.begin == (1500 if len(schedulers) == 2 else 0)
            assert scheduler.end == config.train_cfg.max_iters
            words.append(
                f'poly to {scheduler.eta_min:.0e}'.replace('0e+00', '0').replace('-0', '-')
            )
        elif kind == 'CosineAnnealingLR':
            assert (scheduler.begin, scheduler.by_epoch) == (20, True)
            words.append(f'cosine to {scheduler.eta_min:.0e}'.replace('-0', '-'))
        elif kind == 'MultiStepLR' and name.task == 'classification':
            assert (scheduler.milestones, scheduler.gamma) == ([30, 60, 90], 0.1)
            words.append('thirds')
        elif kind == 'MultiStepLR':
            assert scheduler.milestones == STEPS[config.train_cfg.max_epochs]
            assert (scheduler.end, scheduler.gamma) == (config.train_cfg.max_epochs, 0.1)
            words.append('steps')
        else:
            words.append({'LinearLR': 'linear', 'ConstantLR': 'constant'}[kind])
    return ', '.join(words)


def steps_of(config: Config, split: str = 'train') -> dict[str, Any]:
    pipeline = config[f'{split}_dataloader'].dataset.pipeline
    return {step['type']: step for step in pipeline}


@named(SEGMENTATION)
class TestSegmentation:
    def test_data(self, path: Path) -> None:
        config, name = cached(path), Name.of(path)
        size = name.recipe.size
        steps = steps_of(config)
        assert steps['RandomCrop']['crop_size'] == size
        assert f'{size[0]}x{size[1]}' in path.stem
        assert config.model.data_preprocessor.size == size
        assert config.model.data_preprocessor.bgr_to_rgb == ('hrformer' not in name.kind)
        assert ('swap_seg_labels' in steps['RandomFlip']) == (name.data == 'lip')
        slides = config.model.test_cfg.mode == 'slide'
        assert slides == (name.data == 'pascal-context-59')
        if slides:
            assert config.model.test_cfg.crop_size == size
        kind = dict(zip(CLASSES, ('Cityscapes', 'PascalContext', 'ADE20K', 'LIP')))[name.data]
        for split in ('train', 'val', 'test'):
            dataset = config[f'{split}_dataloader'].dataset
            assert dataset.type.startswith(f'{kind}Dataset')
        assert config.val_evaluator.type == config.test_evaluator.type == 'IoUMetric'

    def test_model(self, path: Path) -> None:
        config, name = cached(path), Name.of(path)
        backbone = config.model.backbone
        heads = config.model.decode_head
        heads = heads if isinstance(heads, list) else [heads]
        kinds = ['FCNHead'] if name.kind == 'fcn' else ['FCNHead', 'OCRHead']
        assert [head.type for head in heads] == kinds
        for head in heads:
            assert head.in_channels == name.channels
            assert head.num_classes == CLASSES[name.data]
            assert ('class_weight' in head.loss_decode) == name.recipe.weighted
            if name.recipe.weighted:
                assert len(head.loss_decode.class_weight) == 19
                assert head.loss_decode.reduction == 'none'  # the others fail on ignored pixels
        assert backbone.norm_cfg == dict(type='SyncBN')
        assert backbone.get('window') == (int(name.window) if name.window else None)
        if 'hrformer' not in name.kind:
            assert heads[0].channels == sum(name.channels)
        else:
            assert (heads[0].channels, heads[0].kernel_size) == (512, 3)
            rate = WIDE_DROP_PATHS.get((name.window, name.data))
            assert backbone.drop_path_rate == (rate or DROP_PATHS['segmentation'][name.arch])
        per_gpu = config.train_dataloader.batch_size
        samplers = [head.get('sampler') for head in heads]
        hard = samplers.pop()
        assert samplers == [None] * len(samplers)
        if name.recipe.hard_pixels:
            threshold, kept = name.recipe.hard_pixels
            assert (hard.thresh, hard.min_kept * per_gpu) == (threshold, kept)
        else:
            assert hard is None

    def test_upsamples_as_published_weights_need(self, path: Path) -> None:
        """Else the logits are half a standard deviation off."""
        config, name = cached(path), Name.of(path)
        expected = UPSAMPLES[name.kind]
        assert config.model.backbone.upsample == expected
        heads = config.model.decode_head
        for head in heads if isinstance(heads, list) else [heads]:
            assert head.align_corners == expected['align_corners']


@named(DETECTION)
def test_detection(path: Path) -> None:
    config, name = cached(path), Name.of(path)
    steps = steps_of(config)
    shorter, longer = name.recipe.size
    if 'ms-640-800' in path.stem:
        assert steps['RandomChoiceResize']['scales'] == [(longer, 640), (longer, shorter)]
        assert 'Resize' not in steps
    else:
        assert steps['Resize']['scale'] == (longer, shorter)
    assert steps_of(config, 'val')['Resize']['scale'] == (longer, shorter)
    neck = config.model.neck
    assert neck.type == 'hrnet_plugin.HRFPN'
    assert (neck.in_channels, neck.out_channels) == (name.channels, 256)
    assert neck.get('stride', 1) == (2 if name.kind == 'fcos' else 1)
    masks = name.kind == 'mask-rcnn'
    assert config.val_evaluator.metric == (['bbox', 'segm'] if masks else 'bbox')
    assert steps['LoadAnnotations'].get('with_mask', False) == masks


@named(CLASSIFICATION)
def test_classification(path: Path) -> None:
    config, name = cached(path), Name.of(path)
    steps = steps_of(config)
    assert steps['RandomResizedCrop'].scale == name.recipe.size[0]
    assert steps_of(config, 'val')['CenterCrop'].crop_size == name.recipe.size[0]
    neck, pooling = config.model.neck
    assert neck.type == 'hrnet_plugin.ClassificationNeck'
    assert neck.in_channels == name.channels
    assert neck.get('separable', False) == (name.kind == 'hrformer')
    assert pooling.type == 'GlobalAveragePooling'
    head = config.model.head
    assert (head.in_channels, head.num_classes) == (2048, 1000)
    if name.kind == 'hrformer':
        assert config.model.backbone.upsample == dict(mode='nearest')
        rate = DROP_PATHS['classification'][name.arch]
        assert config.model.backbone.drop_path_rate == rate
        augments = [(a.type, a.alpha) for a in config.model.train_cfg.augments]
        assert augments == [('Mixup', 0.8), ('CutMix', 1.0)]
        assert head.loss.label_smooth_val == 0.1
        assert steps['RandAugment'].magnitude_level == 9
        assert steps['RandomErasing'].erase_prob == 0.25
        assert config.optim_wrapper.clip_grad == dict(max_norm=5.0)
    else:
        assert 'upsample' not in config.model.backbone  # nearest


ENVIRONMENT = {
    'cityscapes': 'CITYSCAPES_ROOT',
    'pascal-context-59': 'PASCAL_CONTEXT_ROOT',
    'ade20k': 'ADE20K_ROOT',
    'lip': 'LIP_ROOT',
    'coco': 'COCO_ROOT',
    'in1k': 'IMAGENET_ROOT',
}
ONE_PER_DATASET = list({Name.of(p).data + Name.of(p).kind: p for p in OURS}.values())


@named(ONE_PER_DATASET)
def test_root_is_read_from_the_environment(path: Path) -> None:
    config = read_config(path, {ENVIRONMENT[Name.of(path).data]: Path('/some/where')})
    for split in ('train', 'val', 'test'):
        root = config[f'{split}_dataloader'].dataset.data_root
        assert root.removesuffix('/') == '/some/where'
    if 'ann_file' in config.val_evaluator:
        file = '/some/where/annotations/instances_val2017.json'
        assert config.val_evaluator.ann_file == config.test_evaluator.ann_file == file


# Models

# Parameters, counted on the official models. Official convolutions before
# norms have biases, which ours lack.
OCR_BIASES = 512 + 512 + 2 * 256 + 2 * 256 + 256 + 512 + 512
COUNTS = {
    'ocrnet_hrformer-s_8xb1-80k_cityscapes-512x1024': 13_523_856 - OCR_BIASES,
    'hrnet-w18-small-v1_4xb32_in1k': 13_187_464 - 3840,
    'hrnet-w18-small-v2_4xb32_in1k': 15_597_464 - 3840,
    'hrnet-w18_4xb32_in1k': 21_299_004 - 3840,
    'hrnet-w32_4xb32_in1k': 41_232_680 - 3840,
    'hrnet-w48_4xb32_in1k': 77_469_864 - 3840,
}
# Parameters (M), as published
ROUNDED = {
    'fcn_hr18s-v1_4xb2-160k_cityscapes-512x1024': 1.5,
    'fcn_hr18s_4xb2-160k_cityscapes-512x1024': 3.9,
    'fcos_hrnetv2p-w18-gn-head_4xb4-2x_coco': 17.5,
    'fcos_hrnetv2p-w32-gn-head_ms-640-800-4xb4-2x_coco': 37.3,
    'hrnet-w30_4xb32_in1k': 37.7,
    'hrnet-w40_4xb32_in1k': 57.6,
    'hrnet-w44_4xb32_in1k': 67.1,
    'hrnet-w64_4xb32_in1k': 128.1,
    'hrformer-tiny_8xb128_in1k': 8.0,
    'hrformer-small_8xb128_in1k': 13.5,
    'hrformer-base_8xb128_in1k': 50.3,
}
# One of each kind
QUICK = (
    'fcn_hr18s-v1_4xb2-160k_cityscapes-512x1024',
    'ocrnet_hr18s-v1_4xb3-120k_cityscapes-512x1024',
    'ocrnet_hrformer-s_8xb2-60k_pascal-context-59-520x520',
    'fcn_hr18s-v1_4xb10-114k_lip-473x473',
    'faster-rcnn_hrnetv2p-w18-1x_coco',
    'mask-rcnn_hrnetv2p-w18-1x_coco',
    'cascade-rcnn_hrnetv2p-w18-20e_coco',
    'fcos_hrnetv2p-w18-gn-head_4xb4-1x_coco',
    'hrnet-w18-small-v1_4xb32_in1k',
    'hrformer-tiny_8xb128_in1k',
)


def is_slow(path: Path) -> bool:
    return path.stem not in QUICK


@named(OURS, slow=lambda path: path.stem not in {*QUICK, *COUNTS, *ROUNDED})
def test_model_and_optimizer(path: Path, roots: dict[str, Path]) -> None:
    config, model = cached(path), built(path)
    parameters = dict(model.named_parameters())
    count = sum(p.numel() for p in parameters.values())
    assert count == COUNTS.get(path.stem, count)
    assert round(count / 1e6, 1) == ROUNDED.get(path.stem, round(count / 1e6, 1))
    init_default_scope(config.default_scope)
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    groups = {id(p): g for g in wrapper.optimizer.param_groups for p in g['params']}
    assert groups.keys() == {id(p) for p in parameters.values()}
    recipe = Name.of(path).recipe
    for name, parameter in parameters.items():
        group = groups[id(parameter)]
        if 'hrformer' in path.stem and is_undecayed(model, name):
            assert group['weight_decay'] == 0
        elif recipe.optimizer == 'SGD' and 'fcos' not in path.stem:
            assert group['weight_decay'] == recipe.weight_decay
        if 'fcos' not in path.stem:
            head = name.startswith('decode_head')
            assert group['lr'] == recipe.lr * (recipe.head_lr if head else 1)
    Evaluator(read_config(path, roots).val_evaluator)


def is_undecayed(model: nn.Module, name: str) -> bool:
    """Whether a parameter is a norm's or a table of relative positions."""
    owner = model.get_submodule(name.rpartition('.')[0])
    return isinstance(owner, (_BatchNorm, nn.LayerNorm)) or 'relative_position' in name


# Stock

# Our names of types, and what is built in another way
NAMES = {
    'CheckpointHook': 'hrnet_plugin.AtomicCheckpointHook',
    'HRFPN': 'hrnet_plugin.HRFPN',
    'HRFuseScales': 'hrnet_plugin.ClassificationNeck',
    'HRNet': 'hrnet_plugin.HRNet',
}
ELSEWHERE = {
    'default_hooks': ('exact_resume',),
    'backbone': ('arch', 'extra', 'multiscale_output', 'norm_eval', 'norm_cfg', 'upsample'),
    'model': ('pretrained',),  # compared with init_cfg
    'neck': ('num_outs',),  # by default as many
    'norm_cfg': ('requires_grad',),
}
SETTINGS = ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator')
TRAINING = ('optim_wrapper', 'param_scheduler', 'train_cfg', 'default_hooks')
WITH_STOCK = [p for p in OURS if p.name in STOCK.get(SCOPES[Name.of(p).task], ())]


def stock_of(path: Path) -> Path:
    return STOCK[cached(path).default_scope][path.name]


@named(WITH_STOCK)
def test_says_what_stock_says(path: Path) -> None:
    """But for the recipe of classification, which is the official one."""
    names = SETTINGS if path in CLASSIFICATION else SETTINGS + TRAINING
    ours, stock = (
        flat_settings(read_config(p), names, NAMES, ELSEWHERE) for p in (path, stock_of(path))
    )
    differing = {key for key in ours.keys() | stock.keys() if ours.get(key) != stock.get(key)}
    weights = {f'model.backbone.init_cfg.{key}' for key in ('type', 'checkpoint')}
    if path in SEGMENTATION:
        pretrained = cached(stock_of(path)).model.pretrained
        assert cached(path).model.backbone.init_cfg.checkpoint == pretrained
        assert differing == weights
    else:
        assert differing == set()


@named(WITH_STOCK, slow=lambda path: 'w18' not in path.stem)
def test_builds_the_model_of_stock(path: Path) -> None:
    built(path).load_state_dict(built(stock_of(path)).state_dict(), strict=True)


# Training


def reduced(path: Path, roots: dict[str, Path], work_dir: Path) -> Config:
    """Return a config for two steps of two images, a checkpoint and an evaluation."""
    config = read_config(path, roots)
    config.work_dir = str(work_dir)
    config.log_level = 'WARNING'
    config.model.backbone.init_cfg = None  # the weights to start from are not at hand
    if config.model.backbone.get('norm_eval'):  # as from scratch
        config.model.backbone.norm_eval = False
    shrink(config)
    if path.stem in QUICK:
        narrow(config.model, Name.of(path))
    if Name.of(path).task == 'segmentation':
        config.train_cfg.update(max_iters=2, val_interval=2)
        config.default_hooks.checkpoint.interval = 2
    else:
        config.train_cfg.max_epochs = 1
    config.default_hooks.checkpoint.save_optimizer = False
    config.default_hooks.logger.interval = 1
    config.randomness = dict(seed=0)
    for split in ('train', 'val', 'test'):
        loader = config[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.update(serialize_data=False, indices=4 if split == 'train' else 2)
    config.train_dataloader.batch_size = 2
    return config


class Trained:
    """A config after a reduced training."""

    def __init__(self, path: Path, roots: dict[str, Path], work_dir: Path) -> None:
        self.inputs: list[torch.Size] = []
        self.runner = Runner.from_cfg(reduced(path, roots, work_dir))
        self.runner.model.backbone.register_forward_hook(self.look)
        self.runner.train()
        self.scalars = self.runner.message_hub.log_scalars
        self.checkpoints = list(work_dir.glob('*.pth'))

    def look(self, backbone: nn.Module, inputs: tuple[torch.Tensor], _: Any) -> None:
        if backbone.training:
            self.inputs.append(inputs[0].shape)


SMALL = {
    'RandomCrop': dict(crop_size=(64, 64)),
    'RandomResize': dict(scale=(WIDTH, HEIGHT)),
    'Resize': dict(scale=(WIDTH, HEIGHT)),
    'RandomChoiceResize': dict(scales=[(WIDTH, HEIGHT), (WIDTH, 64)]),
    'RandomResizedCrop': dict(scale=64),
    'ResizeEdge': dict(scale=72),
    'CenterCrop': dict(crop_size=64),
}


# Architectures of about the same structure, and the channels of stream 0
NARROWER = {'w18': ('w18-small-v1', 16), 'small': ('tiny', 18)}


def narrow(node: Any, name: Name) -> None:
    """Replace an architecture, and its channels wherever they are listed."""
    arch, width = NARROWER.get(name.arch, ('', 0))
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if key == 'arch' and arch:
            node[key] = arch
        elif value == name.channels and arch:
            node[key] = [width * 2**i for i in range(4)]
        elif isinstance(value, (dict, list)):
            narrow(value, name)


# Options of detectors, at any depth
FEW = dict(
    score_thr=0.0, max_per_img=8, nms_pre=50, num=16, fc_out_channels=32, conv_out_channels=32
)


def shrink_detector(node: Any) -> None:
    """Make a detector work on a few boxes, of which it puts out some whatever it sees."""
    if isinstance(node, dict):
        node.update({key: value for key, value in FEW.items() if key in node})
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, (dict, list)):
            shrink_detector(child)


def shrink(config: Config) -> None:
    """Make images and detectors small, and let the learning rate begin to fall at once."""
    for split in ('train', 'val', 'test'):
        for step in config[f'{split}_dataloader'].dataset.pipeline:
            step.update(SMALL.get(step['type'], {}))
    if 'size' in config.model.get('data_preprocessor', {}):
        config.model.data_preprocessor.size = (64, 64)
    if config.model.get('test_cfg', {}).get('mode') == 'slide':
        config.model.test_cfg.update(crop_size=(64, 64), stride=(42, 42))
    shrink_detector(config.model)
    schedulers = config.param_scheduler
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        if scheduler.get('begin'):  # later than it will train
            scheduler.begin = 0


@pytest.fixture(scope='session')
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Environment variables that name small datasets."""
    return write_task_datasets(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='class')
def trained(
    path: Path, roots: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    return Trained(path, roots, tmp_path_factory.mktemp('work'))


METRICS = dict(segmentation='mIoU', detection='coco/bbox_mAP', classification='accuracy/top1')


@named(OURS, slow=is_slow, scope='class')
class TestTraining:
    def test_trains(self, path: Path, trained: Trained) -> None:
        # The detector's images of 104x72 are padded to multiples of 32.
        sizes = [(96, 128) if path in DETECTION else (64, 64)]
        if '_ms-' in path.stem:
            sizes.append((64, 96))
        assert len(trained.inputs) == 2
        assert {(2, 3, *size) for size in sizes} >= {*trained.inputs}
        losses, _ = trained.scalars['train/loss'].data
        assert losses.shape == (2,)
        assert np.isfinite(losses).all()
        assert (losses > 0).all()
        assert len(trained.checkpoints) == 1

    def test_evaluates(self, path: Path, trained: Trained) -> None:
        value = trained.scalars[f'val/{METRICS[Name.of(path).task]}'].current()
        assert 0 <= value <= 100

    def test_no_norm_waits_for_other_processes(self, trained: Trained) -> None:
        modules = list(trained.runner.model.modules())
        assert any(isinstance(m, _BatchNorm) for m in modules)
        assert not any(isinstance(m, nn.SyncBatchNorm) for m in modules)


@pytest.mark.slow
@pytest.mark.parametrize('package', ['hrnet_plugin', 'its own'])
@named([p for p in OURS if p.stem in (QUICK[0], 'faster-rcnn_hrnetv2p-w18-1x_coco', QUICK[-2])])
def test_mim_trains(path: Path, package: str, roots: dict[str, Path], tmp_path: Path) -> None:
    """Also where the plugin is not asked for: `mim train mmseg CONFIG`."""
    config = tmp_path / path.name
    reduced(path, roots, tmp_path / 'work').dump(config)
    package = cached(path).default_scope if package == 'its own' else package
    mim = [Path(sys.executable).with_name('mim'), 'train', package, config, '--gpus', '0']
    done = subprocess.run(mim, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (checkpoint,) = (tmp_path / 'work').glob('*.pth')
    options = ['--checkpoint', checkpoint, '--gpus', '0']
    done = subprocess.run([*mim[:1], 'test', *mim[2:4], *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@needs('mmseg')
def test_left_and_right_change_places_in_flips(roots: dict[str, Path]) -> None:
    path = next(p for p in SEGMENTATION if '_lip-' in p.name)
    config = read_config(path, roots)
    init_default_scope('mmseg')
    steps = steps_of(config)
    pipeline = [
        steps['LoadImageFromFile'],
        steps['LoadAnnotations'],
        dict(steps['RandomFlip'], prob=1.0),
        steps['PackSegInputs'],
    ]
    dataset = dict(config.train_dataloader.dataset, pipeline=pipeline)
    labels = DATASETS.build(dataset)[0]['data_samples'].gt_sem_seg.data[0]
    before = torch.arange(WIDTH) // 4 % 20
    swapped = before.clone()
    for left, right in ((14, 15), (16, 17), (18, 19)):
        swapped[before == left], swapped[before == right] = right, left
    assert torch.equal(labels[-1], swapped.flip(0))


# Files


@named([p for p in [*OURS, *BASES, *DEMOS] if base_files(p)])
def test_repeats_no_line_of_its_bases(path: Path, tmp_path: Path) -> None:
    inherited = merged_bases(path, tmp_path)
    repeated = [
        '.'.join(key)
        for key, value in literals(path)
        if setting(inherited, key, default=...) == value
    ]
    assert repeated == []


def setting(settings: Any, key: tuple[str, ...], default: Any) -> Any:
    for part in key:
        if not isinstance(settings, dict) or part not in settings:
            return default
        settings = settings[part]
    return settings


def test_every_base_is_used() -> None:
    used = {
        (path.parent / base).resolve()
        for path in CONFIGS
        for base in base_files(path)
        if '::' not in base
    }
    assert {p.resolve() for p in BASES} <= used


@functools.cache
def metafiles() -> list[dict[str, Any]]:
    files = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    return [yaml.safe_load((ROOT / file).read_text()) for file in files]


def models() -> dict[str, dict[str, Any]]:
    return {model['Name']: model for file in metafiles() for model in file['Models']}


def test_index_lists_every_config() -> None:
    ours = {name: model for name, model in models().items() if ROOT / model['Config'] in OURS}
    assert sorted(ROOT / model['Config'] for model in ours.values()) == OURS
    assert all(Path(model['Config']).stem == name for name, model in ours.items())


def test_collections_are_defined_once() -> None:
    defined = [c['Name'] for file in metafiles() for c in file.get('Collections', ())]
    used = {model['In Collection'] for model in models().values()}
    assert sorted(defined) == sorted(used)


@functools.cache
def stock_models(scope: str) -> dict[str, dict[str, Any]]:
    """Stock's entries by the stem of the config."""
    found: dict[str, dict[str, Any]] = {}
    for config in STOCK[scope].values():
        for file in config.parent.glob('metafile.y*ml'):
            content = yaml.safe_load(file.read_text())
            for model in content['Models']:
                found.setdefault(Path(model['Config']).stem, model)
        break
    return found


@named(WITH_STOCK)
def test_results_and_weights_are_those_of_stock(path: Path) -> None:
    ours = models()[path.stem]
    stock = stock_models(cached(path).default_scope).get(path.stem)
    if stock is None:
        assert ours['Weights'] is None
        return
    results = stock['Results'] if isinstance(stock['Results'], list) else [stock['Results']]
    assert ours['Weights'] == stock['Weights']
    assert [r['Metrics'] for r in ours['Results']] == [r['Metrics'] for r in results]
    assert [r['Task'] for r in ours['Results']] == [r['Task'] for r in results]


# Error in % (classification) or mIoU of what stock has no weights for
PUBLISHED = {
    'hrnet-w18-small-v1_4xb32_in1k': 27.7,
    'hrnet-w18-small-v2_4xb32_in1k': 24.9,
    'hrformer-tiny_8xb128_in1k': 21.4,
    'hrformer-small_8xb128_in1k': 18.8,
    'hrformer-base_8xb128_in1k': 17.2,
    'fcn_hr18s-v1_4xb2-160k_cityscapes-512x1024': 70.3,
    'fcn_hr48_4xb10-114k_lip-473x473': 56.04,
    'ocrnet_hr48_4xb3-120k_cityscapes-512x1024': 81.6,
    'ocrnet_hr48_4xb4-62k_pascal-context-59-520x520': 56.2,
    'ocrnet_hr48_4xb4-152k_ade20k-520x520': 44.5,
    'ocrnet_hr48_4xb10-114k_lip-473x473': 56.48,
    'ocrnet_hrformer-s_8xb1-80k_cityscapes-512x1024': 80.0,
    'ocrnet_hrformer-b_8xb1-80k_cityscapes-512x1024': 81.4,
    'ocrnet_hrformer-b-w15_8xb1-80k_cityscapes-512x1024': 81.9,
    'ocrnet_hrformer-s_8xb2-60k_pascal-context-59-520x520': 53.8,
    'ocrnet_hrformer-b_8xb2-60k_pascal-context-59-520x520': 56.3,
    'ocrnet_hrformer-b-w15_8xb2-60k_pascal-context-59-520x520': 57.6,
    'ocrnet_hrformer-s_8xb1-150k_ade20k-520x520': 44.0,
    'ocrnet_hrformer-b_8xb1-150k_ade20k-520x520': 46.3,
    'ocrnet_hrformer-b-w13_8xb1-150k_ade20k-520x520': 48.7,
}


@needs(*SCOPES.values())  # which say what stock has
def test_other_results_are_the_papers() -> None:
    found = {}
    for path in set(OURS) - set(WITH_STOCK):
        model = models()[path.stem]
        assert model['Weights'] is None  # none loads as it is
        for result in model.get('Results', ()):
            value = next(iter(result['Metrics'].values()))
            found[path.stem] = round(100 - value, 1) if path in CLASSIFICATION else value
    assert found == PUBLISHED
