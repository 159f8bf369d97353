"""Every config: says what its name says and what was published, builds, trains and evaluates."""

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mmpose
import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.models import build_pose_estimator
from mmpose.registry import DATASETS, MODELS, PARAM_SCHEDULERS
from mmpose.utils import register_all_modules
from scipy.io import savemat
from support.config_files import CONFIGS, flat_settings, read_config
from support.paths import ROOT
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrnet_plugin.datasets import synthesize

STOCK = Path(mmpose.__file__).parent / '.mim'
# Those of other tasks: test_task_configs.py, test_task_demos.py
POSE = [p for p in CONFIGS if p.name.startswith('td-hm_')]
ALL = [*POSE, *(p for p in CONFIGS if p.stem == 'rtmdet_person')]
PUBLISHED = [p for p in POSE if 'demo' not in p.parts]
WITH_STOCK = [p for p in PUBLISHED if (STOCK / p.relative_to(ROOT)).exists()]

Size = tuple[int, int]


@dataclass(frozen=True)
class Name:
    """What the name of a config says, as stock MMPose names configs."""

    arch: str
    gpus: int
    batch: int
    epochs: int
    data: str
    size: Size  # (width, height)

    @property
    def family(self) -> str:
        return ARCHS[self.arch][0]

    @classmethod
    def of(cls, path: Path) -> 'Name':
        match = re.fullmatch(r'td-hm_(.+)_(\d+)xb(\d+)-(\d+)e_(.+)-(\d+)x(\d+)', path.stem)
        assert match is not None
        arch, gpus, batch, epochs, data, height, width = match.groups()
        return cls(arch, int(gpus), int(batch), int(epochs), data, (int(width), int(height)))


@dataclass(frozen=True)
class Recipe:
    """How a family was trained.

    Attributes:
        angle: Largest rotation to either side, in degrees.
        scale: Range of the factors by which instances are resized.
        total_batch: Instances per step, where the name does not say.
    """

    optimizer: str
    lr: float
    angle: float
    scale: tuple[float, float]
    weight_decay: float = 0
    undecayed: str = ''
    total_batch: int | None = None


RECIPES = {
    # Stock MMPose's; it counts 512 for W48 too
    'HRNet': Recipe('Adam', 5e-4, angle=80, scale=(0.5, 1.5), total_batch=512),
    # The official configs, for MMPose 0.x: rot_factor=30, scale_factor=0.25
    'LiteHRNet': Recipe('Adam', 2e-3, angle=60, scale=(0.75, 1.25)),
    # rot_factor=40, scale_factor=0.5
    'HRFormer': Recipe(
        'AdamW',
        5e-4,
        angle=80,
        scale=(0.5, 1.5),
        weight_decay=0.01,
        undecayed='relative_position_bias_table',
    ),
}
ARCHS = {
    'hrnet-w32': ('HRNet', 'w32'),
    'hrnet-w48': ('HRNet', 'w48'),
    'litehrnet-18': ('LiteHRNet', 'lite-18'),
    'litehrnet-30': ('LiteHRNet', 'lite-30'),
    'naive-litehrnet-18': ('LiteHRNet', 'naive-18'),
    'wider-naive-litehrnet-18': ('LiteHRNet', 'wider-naive-18'),
    'hrformer-tiny': ('HRFormer', 'tiny'),
    'hrformer-small': ('HRFormer', 'small'),
    'hrformer-base': ('HRFormer', 'base'),
}
# Each has a table: modules of stages 2, 3 and 4, times 2, 3 and 4 streams, times 2 blocks
ATTENTIONS = {
    'hrformer-tiny': (1 * 2 + 3 * 3 + 2 * 4) * 2,
    'hrformer-small': (1 * 2 + 4 * 3 + 2 * 4) * 2,
    'hrformer-base': (1 * 2 + 4 * 3 + 2 * 4) * 2,
}
# Chance to drop a path in the last block, at 256x192 and 384x288
DROP_PATHS = {
    'hrformer-tiny': (0, 0),
    'hrformer-small': (0.1, 0.1),
    'hrformer-base': (0.2, 0.3),
}


@dataclass(frozen=True)
class Data:
    """A dataset that configs are for."""

    root: str  # the environment variable that names its folder
    type: str
    keypoints: int
    metric: str
    save_best: str
    half_body: bool
    shift_prob: float


DATA = {
    'coco': Data('COCO_ROOT', 'CocoDataset', 17, 'hrnet_plugin.OKSMetric', 'coco/AP', True, 0.3),
    'mpii': Data('MPII_ROOT', 'MpiiDataset', 16, 'MpiiPCKAccuracy', 'PCK', False, 0),
}


def named(
    paths: list[Path], slow: Callable[[Path], bool] = lambda path: False, **options: Any
) -> pytest.MarkDecorator:
    """Parametrize a test with configs, some of which take long."""
    assert paths
    rows = [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if slow(path) else [])
        for path in paths
    ]
    return pytest.mark.parametrize('path', rows, **options)


def load(path: Path, roots: dict[str, Path] | None = None) -> Config:
    """Read a config with these environment variables, or none."""
    return read_config(path, roots)


@pytest.fixture(autouse=True)
def _default_scope() -> None:
    register_all_modules()


@pytest.fixture(scope='session')
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Environment variables that name small datasets."""
    coco, mpii = (tmp_path_factory.mktemp(name) for name in DATA)
    synthesize(coco, 8, val_fraction=0.5, image_size=(160, 120), num_workers=1)
    write_mpii(mpii)
    return {'COCO_ROOT': coco, 'MPII_ROOT': mpii}


# The two instances of each image, with 16 visible joints: the first joint, and the offset of the
# next one, in pixels counted from 1.
JOINTS = [((41, 21), (4, 5)), ((61, 31), (3, 4))]
# Opposite corners of their heads, 50 pixels apart
HEADS = [((30, 10), (60, 50)), ((50, 20), (80, 60))]


def write_mpii(root: Path) -> None:
    """Write a dataset in MPII's format: an image, its two instances, their heads."""
    (root / 'annotations').mkdir()
    (root / 'images').mkdir()
    rng = np.random.default_rng(0)
    for number, split in enumerate(('train', 'val'), 1):
        name = f'{number:09}.jpg'
        cv2.imwrite(str(root / 'images' / name), rng.integers(0, 256, (120, 160, 3), np.uint8))
        people = [
            dict(
                image=name,
                center=[80.0, 60.0],
                scale=0.5,  # of 200 pixels
                joints=[[x + i * dx, y + i * dy] for i in range(16)],
                joints_vis=[1] * 16,
            )
            for (x, y), (dx, dy) in JOINTS
        ]
        if split == 'train':
            people *= 2
        (root / f'annotations/mpii_{split}.json').write_text(json.dumps(people))
    # (corner, axis, instance)
    heads = np.array(HEADS, float).transpose(1, 2, 0)
    savemat(root / 'annotations/mpii_gt_val.mat', {'headboxes_src': heads})


@named(PUBLISHED)
class TestPublishedConfigs:
    def test_is_what_its_name_says(self, path: Path) -> None:
        config, name = load(path), Name.of(path)
        data = DATA[name.data]
        kind, arch = ARCHS[name.arch]
        assert config.model.backbone.type == f'hrnet_plugin.{kind}'
        assert config.model.backbone.arch == arch
        assert config.model.head.out_channels == data.keypoints
        assert config.train_cfg.max_epochs == name.epochs
        assert config.train_dataloader.batch_size == name.batch
        assert config.codec == config.model.head.decoder
        assert config.codec.input_size == name.size
        assert config.codec.heatmap_size == tuple(side // 4 for side in name.size)
        assert config.codec.sigma == {256: 2, 384: 3}[name.size[1]]
        for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
            assert loader.dataset.type == data.type
        assert config.val_evaluator.type == config.test_evaluator.type == data.metric
        assert config.default_hooks.checkpoint.save_best == data.save_best

    def test_augments_as_published(self, path: Path) -> None:
        name = Name.of(path)
        recipe, data = RECIPES[name.family], DATA[name.data]
        dataset = load(path).train_dataloader.dataset
        steps = DATASETS.build(dict(dataset, lazy_init=True)).pipeline.transforms
        by_type = {type(step).__name__: step for step in steps}
        assert by_type['RandomFlip'].prob == 0.5
        assert ('RandomHalfBody' in by_type) == data.half_body
        if data.half_body:
            # The published half_body_transform: from 9 joints on, the upper half in 70 % of cases
            half = by_type['RandomHalfBody']
            assert (half.prob, half.min_total_keypoints) == (0.3, 9)
            assert half.upper_prioritized_prob == 0.7
        box = by_type['RandomBBoxTransform']
        assert (box.rotate_factor, box.rotate_prob) == (recipe.angle, 0.6)
        assert (box.scale_factor, box.scale_prob) == (recipe.scale, 1)
        assert box.shift_prob == data.shift_prob

    def test_learning_rate_over_time(self, path: Path) -> None:
        """It warms up through 500 steps and falls to a tenth after epochs 170 and 200."""
        warm_up, drops = load(path).param_scheduler
        assert not warm_up.by_epoch
        assert drops.by_epoch
        rates = rates_under(warm_up, steps=502)
        np.testing.assert_allclose(
            rates[[0, 1, -3, -2, -1]], [0.001, 0.001 + 0.999 / 499, 1, 1, 1]
        )
        rates = rates_under(drops, steps=210)
        np.testing.assert_allclose(rates, [1] * 170 + [0.1] * 30 + [0.01] * 10)

    def test_total_batch(self, path: Path) -> None:
        name = Name.of(path)
        expected = RECIPES[name.family].total_batch or name.gpus * name.batch
        assert load(path).auto_scale_lr.base_batch_size == expected

    def test_root_is_read_from_the_environment(self, path: Path) -> None:
        data = DATA[Name.of(path).data]
        default, elsewhere = Path('data') / Name.of(path).data, Path('/some/where')
        for root, roots in ((default, {}), (elsewhere, {data.root: elsewhere})):
            config = load(path, roots)
            train, val = config.train_dataloader.dataset, config.val_dataloader.dataset
            assert val == config.test_dataloader.dataset
            assert train.data_root == val.data_root == str(root)
            boxes = val.get('bbox_file') or val.headbox_file
            for file in (boxes, config.val_evaluator.get('ann_file', boxes)):
                assert file.startswith(f'{root}/')


def rates_under(cfg: dict[str, Any], steps: int) -> np.ndarray:
    """Learning rate in each of the first steps, as multiples of the one in the config."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)
    scheduler = PARAM_SCHEDULERS.build(dict(cfg, optimizer=optimizer))
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


@named(POSE)
def test_pipeline_gives_what_the_model_takes(path: Path, roots: dict[str, Path]) -> None:
    config = load(path, roots)
    width, height = config.codec.input_size
    keypoints = config.model.head.out_channels
    train, val = (
        DATASETS.build(dict(loader.dataset, serialize_data=False))[0]
        for loader in (config.train_dataloader, config.val_dataloader)
    )
    for sample in (train, val):
        assert sample['inputs'].shape == (3, height, width)
        assert sample['inputs'].dtype == torch.uint8
        assert sample['data_samples'].metainfo['input_size'] == (width, height)
    labels = train['data_samples'].gt_instance_labels
    assert labels.keypoint_labels.shape == (1, keypoints, 3)
    assert labels.keypoint_weights.shape == (1, keypoints)
    assert 0 < labels.keypoint_weights.sum() <= keypoints
    # The head encodes the heatmaps, on its device.
    assert 'gt_fields' not in train['data_samples']
    head = MODELS.build(config.model.head)
    heatmaps, weights = head.targets([train['data_samples']])
    assert heatmaps.shape == (1, keypoints, *config.codec.heatmap_size[::-1])
    places = labels.keypoint_labels[..., :2].float()
    last = torch.tensor([width, height]) - 4
    inside = (weights > 0) & ((places >= 0) & (places <= last)).all(-1)
    assert inside.any()
    # DARK encodes around the keypoint; a pixel is at most half a pixel from it on each axis.
    is_dark = config.codec.get('variant') == 'dark'
    lowest = np.exp(-(0.5**2 + 0.5**2) / (2 * config.codec.sigma**2)) if is_dark else 1
    peaks = heatmaps[inside].amax((1, 2))
    assert ((peaks >= lowest) & (peaks <= 1)).all()
    # Stock's arg-max and quarter of a heatmap's pixel, of 4 pixels each
    torch.testing.assert_close(
        head.decoder.decode_batch(heatmaps)[0][inside], places[inside], rtol=0, atol=3
    )
    assert not heatmaps[weights == 0].any()


# Training


class Trained:
    """A config after one epoch of two steps of two, and an evaluation, on crops of 64 pixels."""

    def __init__(self, path: Path, roots: dict[str, Path], work_dir: Path) -> None:
        config = load(path, roots)
        for value in config.values():
            shrink(value)
        config.work_dir = str(work_dir)
        config.log_level = 'WARNING'
        config.train_cfg.update(max_epochs=1, val_interval=1)
        config.default_hooks.checkpoint = None
        self.inputs: list[torch.Size] = []
        config.model.backbone.init_cfg = None  # the weights to start from are not at hand
        for split, people in (('train', 4), ('val', 2), ('test', 2)):
            loader = config[f'{split}_dataloader']
            loader.update(batch_size=2, num_workers=0, persistent_workers=False)
            # Serialising collects all garbage: a second for each dataset.
            loader.dataset.update(indices=people, serialize_data=False)
        self.runner = Runner.from_cfg(config)
        self.runner.model.backbone.register_forward_hook(self.look)
        self.runner.train()
        self.model = self.runner.model
        self.optimizer = self.runner.optim_wrapper.optimizer
        self.scalars = self.runner.message_hub.log_scalars

    def look(self, backbone: nn.Module, inputs: tuple[torch.Tensor], _: Any) -> None:
        if backbone.training:
            self.inputs.append(inputs[0].shape)


def shrink(value: Any) -> None:
    """Make all crops 64x64, with heatmaps as much smaller."""
    if isinstance(value, dict):
        if 'heatmap_size' in value:
            sizes = zip(value['heatmap_size'], value['input_size'])
            value['heatmap_size'] = tuple(64 * h // i for h, i in sizes)
        if 'input_size' in value:
            value['input_size'] = (64, 64)
    if isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            shrink(item)


@pytest.fixture(scope='class')
def trained(
    path: Path, roots: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    register_all_modules()
    return Trained(path, roots, tmp_path_factory.mktemp('work'))


class Training:
    """What holds for whatever can be trained."""

    def test_trains(self, path: Path, trained: Trained) -> None:
        # The detector's images of 160x120 are resized to 192x144 and padded to multiples of 32.
        assert trained.inputs == [(2, 3, *((64, 64) if path in POSE else (160, 192)))] * 2
        losses, _ = trained.scalars['train/loss'].data
        assert losses.shape == (2,)
        assert np.isfinite(losses).all()
        assert (losses > 0).all()

    def test_every_parameter_gets_a_gradient(self, trained: Trained) -> None:
        parameters = list(trained.model.parameters())
        assert parameters
        for parameter in parameters:
            assert trained.optimizer.state[parameter]['step'] == 2

    def test_no_norm_waits_for_other_processes(self, trained: Trained) -> None:
        modules = list(trained.model.modules())
        assert any(isinstance(m, _BatchNorm) for m in modules)
        assert not any(isinstance(m, nn.SyncBatchNorm) for m in modules)


# One of each family, and one of each dataset; the others train in the same way.
QUICK = (
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192',
    'td-hm_hrformer-tiny_8xb32-210e_coco-256x192',
    'td-hm_litehrnet-18_8xb64-210e_mpii-256x256',
)


@named(PUBLISHED, slow=lambda path: path.stem not in QUICK, scope='class')
class TestTraining(Training):
    def test_evaluates_what_decides_on_the_best(self, path: Path, trained: Trained) -> None:
        assert f'val/{DATA[Name.of(path).data].save_best}' in trained.scalars


@named(
    [p for p in ALL if p not in PUBLISHED], slow=lambda path: 'w18' not in path.stem, scope='class'
)
class TestTrainingOfDemo(Training):
    """Their recipes are ours: no publication has their values."""


# Models, without memory for their weights


@functools.cache
def built(path: Path) -> nn.Module:
    """Build the model of a config on the device `meta`."""
    with pytest.MonkeyPatch.context() as patch, torch.device('meta'):
        # Stock's HRFormer reads values of a tensor.
        patch.setattr(torch, 'linspace', functools.partial(torch.linspace, device='cpu'))
        return build_pose_estimator(load(path).model)


@named(PUBLISHED)
def test_optimizer(path: Path) -> None:
    recipe = RECIPES[Name.of(path).family]
    model = built(path)
    optimizer = build_optim_wrapper(model, load(path).optim_wrapper).optimizer
    assert type(optimizer).__name__ == recipe.optimizer
    group_of = {id(p): group for group in optimizer.param_groups for p in group['params']}
    parameters = dict(model.named_parameters())
    assert group_of.keys() == {id(p) for p in parameters.values()}
    undecayed = 0
    for name, parameter in parameters.items():
        group = group_of[id(parameter)]
        assert group['lr'] == recipe.lr
        assert group['betas'] == (0.9, 0.999)
        spared = bool(recipe.undecayed) and recipe.undecayed in name
        assert group['weight_decay'] == (0 if spared else recipe.weight_decay)
        undecayed += spared
    assert undecayed == ATTENTIONS.get(Name.of(path).arch, 0)


@named(PUBLISHED)
def test_drops_paths_as_published(path: Path) -> None:
    name = Name.of(path)
    small, large = DROP_PATHS.get(name.arch, (0, 0))
    expected = {256: small, 384: large}[name.size[1]]
    assert max(drop_paths(built(path)), default=0) == pytest.approx(expected)


def drop_paths(model: nn.Module) -> list[float]:
    """Chances to drop a path, in the order of the blocks."""
    return [m.drop_prob for m in model.modules() if type(m).__name__ == 'DropPath']


# MPII


def pckh(roots: dict[str, Path], off: float) -> dict[str, float]:
    """MPII's metric of the two instances of JOINTS; one ankle is off by so many pixels."""
    (config, *_) = (load(p, roots) for p in PUBLISHED if Name.of(p).data == 'mpii')
    dataset = DATASETS.build(dict(config.val_dataloader.dataset, serialize_data=False))
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    assert len(samples) == len(JOINTS)
    for sample, (first, step) in zip(samples, JOINTS):
        joints = np.add(first, np.multiply.outer(np.arange(16), step))
        # Predictions are in pixels that are counted from 0.
        sample.pred_instances = InstanceData(keypoints=joints[None] - 1.0)
    samples[0].pred_instances.keypoints[0, 0, 0] += off
    evaluator = Evaluator(config.val_evaluator)
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


class TestMpiiMetric:
    def test_perfect_predictions(self, roots: dict[str, Path]) -> None:
        metrics = pckh(roots, off=0)
        assert len(metrics) == 9
        assert metrics == {name: pytest.approx(100) for name in metrics}

    def test_half_a_head_is_near_enough(self, roots: dict[str, Path]) -> None:
        """The size of a head is 0.6 of its diagonal, here of 50 pixels: half of it is 15."""
        near, far = pckh(roots, off=14.9), pckh(roots, off=15.1)
        assert near['PCK'] == pytest.approx(100)
        assert far['Ankle PCK'] == pytest.approx(75)  # one of two right ones, both left ones
        # Two instances of 16 joints; pelvis and thorax do not count.
        assert far['PCK'] == pytest.approx(100 * 27 / 28)
        assert near['PCK@0.1'] == far['PCK@0.1'] == pytest.approx(100 * 27 / 28)


# Stock MMPose

# Our names of types, and what is written otherwise
OURS = {
    'CheckpointHook': 'hrnet_plugin.AtomicCheckpointHook',
    'CocoMetric': 'hrnet_plugin.OKSMetric',
    'HRFormer': 'hrnet_plugin.HRFormer',
    'HRNet': 'hrnet_plugin.HRNet',
    'HeatmapHead': 'hrnet_plugin.HeatmapHead',
    'LiteHRNet': 'hrnet_plugin.LiteHRNet',
    'MSRAHeatmap': 'hrnet_plugin.GaussianHeatmap',
    'TopdownPoseEstimator': 'hrnet_plugin.TopdownPoseEstimator',
}
# Compared with what is built from it, below; or ours alone
ELSEWHERE = {
    'default_hooks': ('exact_resume', 'preflight'),
    'backbone': ('extra', 'arch', 'in_channels', 'drop_path_rate'),
    'head': ('deconv_out_channels', 'loss'),
    'norm_cfg': ('requires_grad',),
}
SETTINGS = (
    'train_cfg',
    'optim_wrapper',
    'param_scheduler',
    'auto_scale_lr',
    'default_hooks',
    'codec',
    'model',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'val_evaluator',
    'test_evaluator',
)


def settings(config: Config) -> dict[str, Any]:
    """A config's settings, `a.b.0.c` to value, with our names for types."""
    return flat_settings(config, SETTINGS, OURS, ELSEWHERE)


def intended(path: Path) -> dict[str, tuple[Any, Any]]:
    """Where a config differs from stock's on purpose: key -> (ours, stock's)."""
    name = Name.of(path)
    encoder = f'train_dataloader.dataset.pipeline.{5 if name.data == "mpii" else 6}.encoder'
    changes: dict[str, tuple[Any, Any]] = {
        f'{codec}.targets': (
            'keypoints',
            None,
        )  # stock encodes heatmaps in the pipeline, we in the head
        for codec in ('codec', 'model.head.decoder', encoder)
    }
    changes['train_dataloader.collate_fn.type'] = ('hrnet_plugin.stack_inputs', None)
    if name.family == 'LiteHRNet':
        changes['optim_wrapper.optimizer.lr'] = (2e-3, 5e-4)
        if name.batch == 32:
            changes['auto_scale_lr.base_batch_size'] = (256, 512)
    if (name.arch, name.data) == ('hrnet-w32', 'mpii'):  # not what stock's name says
        changes['train_dataloader.batch_size'] = (64, 16)
        changes['val_dataloader.batch_size'] = (32, 16)
        changes['test_dataloader.batch_size'] = (32, 16)
    return changes


@named(WITH_STOCK)
class TestStock:
    def test_says_what_stock_says(self, path: Path) -> None:
        ours = settings(load(path))
        stock = settings(load(STOCK / path.relative_to(ROOT)))
        differing = {
            key: (ours.get(key), stock.get(key))
            for key in ours.keys() | stock.keys()
            if ours.get(key) != stock.get(key)
        }
        assert differing == intended(path)

    def test_builds_the_model_of_stock(self, path: Path) -> None:
        ours, stock = built(path), built(STOCK / path.relative_to(ROOT))
        ours.load_state_dict(stock.state_dict(), strict=True)  # names and shapes
        assert ours.head.loss_module.use_target_weight == stock.head.loss_module.use_target_weight
        name = Name.of(path)
        # Stock drops as many paths at both sizes.
        more = 1.5 if (name.arch, name.size) == ('hrformer-base', (288, 384)) else 1
        assert np.allclose(drop_paths(ours), np.multiply(drop_paths(stock), more))


# Model index

# The papers' results of what MMPose has no weights for
PAPER = {
    'td-hm_naive-litehrnet-18_8xb64-210e_coco-256x192': {'AP': 0.628},
    'td-hm_wider-naive-litehrnet-18_8xb64-210e_coco-256x192': {'AP': 0.660},
    'td-hm_hrformer-tiny_8xb32-210e_coco-256x192': {'AP': 0.709},
    'td-hm_hrformer-tiny_8xb32-210e_coco-384x288': None,
}


@functools.cache
def metafiles(root: Path) -> list[dict[str, Any]]:
    """The metafiles of our index, or those of the same name in another place."""
    files = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    pose = [file for file in files if 'body_2d_keypoint' in file]
    return [yaml.safe_load((root / file).read_text()) for file in pose]


def models_of(root: Path) -> dict[str, dict[str, Any]]:
    return {model['Name']: model for file in metafiles(root) for model in file['Models']}


def test_index_lists_every_published_config() -> None:
    models = models_of(ROOT)
    assert sorted(ROOT / model['Config'] for model in models.values()) == PUBLISHED
    for path in PUBLISHED:
        name, model = Name.of(path), models[path.stem]
        width, height = name.size
        # A list: of a string, MMEngine would list the letters.
        assert model['Alias'] == [f'{name.arch}_{name.data}-{height}x{width}']
        assert model['In Collection'] == name.family


def test_collections_are_defined_once() -> None:
    defined = [c['Name'] for file in metafiles(ROOT) for c in file.get('Collections', ())]
    used = {model['In Collection'] for model in models_of(ROOT).values()}
    assert sorted(defined) == sorted(used)


@named(PUBLISHED)
def test_results_and_weights_are_published(path: Path) -> None:
    ours = models_of(ROOT)[path.stem]
    if path in WITH_STOCK:
        stock = models_of(STOCK)[path.stem]
        assert (ours['Weights'], ours['Results']) == (stock['Weights'], stock['Results'])
    else:
        assert ours['Weights'] is None  # and not missing: inferencers look it up
        assert ours.get('Results', [{}])[0].get('Metrics') == PAPER[path.stem]
