"""Configs of MMPose 0.x are recognised, those of 1.x are not taken for it."""

from pathlib import Path

import mmpose
import pytest
from mmengine.config import Config
from support.paths import ROOT

from hrnet_plugin.apis import explain_old_config

STOCK = Path(mmpose.__file__).parent / '.mim'
OLD = """
_base_ = ['../../../../_base_/default_runtime.py']
evaluation = dict(interval=10, metric='mAP', save_best='AP')
optimizer = dict(type='Adam', lr=5e-4)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', warmup='linear', step=[170, 200])
total_epochs = 210
channel_cfg = dict(num_output_channels=17)
model = dict(
    type='TopDown',
    pretrained='hrnet_w32.pth',
    backbone=dict(type='HRNet'),
    keypoint_head=dict(
        type='TopdownHeatmapSimpleHead', loss_keypoint=dict(type='JointsMSELoss')
    ),
)
train_pipeline = [dict(type='TopDownRandomFlip'), {'type': 'TopDownAffine'}, dict(type='Collect')]
data = dict(
    samples_per_gpu=64,
    workers_per_gpu=2,
    train=dict(type='TopDownCocoDataset', pipeline=train_pipeline),
)
"""


@pytest.mark.parametrize('as_text', [True, False])
def test_names_what_it_is_called_in_1_x(as_text: bool) -> None:
    text = OLD if as_text else Config.fromstring(OLD.replace('_base_', 'base'), '.py')
    explanation = explain_old_config(text)
    assert explanation is not None
    for old, new in {
        'data': 'train_dataloader',
        'samples_per_gpu': 'batch_size',
        'optimizer': 'optim_wrapper = dict(optimizer=…)',
        'lr_config': 'param_scheduler',
        'total_epochs': 'train_cfg = dict(by_epoch=True, max_epochs=…)',
        'evaluation': 'val_evaluator',
        'keypoint_head': 'head of the model',
        'pretrained': 'init_cfg',
        'TopDown': 'TopdownPoseEstimator',
        'TopdownHeatmapSimpleHead': 'HeatmapHead',
        'JointsMSELoss': 'KeypointMSELoss',
        'TopDownCocoDataset': 'CocoDataset',
        'TopDownAffine': 'TopdownAffine',
        'Collect': 'PackPoseInputs',
    }.items():
        assert f'\n    {old}: {new}' in explanation


@pytest.mark.parametrize(
    'part',
    ["model = dict(type='TopDown')", 'total_epochs = 10', 'log_config = dict(interval=50)'],
)
def test_part_of_an_old_config(part: str) -> None:
    assert explain_old_config(part) is not None


ALL = [*ROOT.glob('configs/**/*.py'), *STOCK.glob('configs/body_2d_keypoint/topdown_*/**/*.py')]


def test_configs_of_1_x_are_left_alone() -> None:
    assert len(ALL) > 100
    assert [path for path in ALL if explain_old_config(path.read_text())] == []


def test_one_of_1_x_is_left_alone_once_read() -> None:
    assert explain_old_config(Config.fromfile(STOCK / ALL[-1])) is None
    (path,) = ROOT.glob('configs/**/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py')
    assert explain_old_config(Config.fromfile(path)) is None


@pytest.mark.parametrize(
    'text', ['this is no Python', '', "runner = dict(type='Mine')", 'optim_wrapper = 1; data = 2']
)
def test_anything_else_is_left_alone(text: str) -> None:
    assert explain_old_config(text) is None


def test_what_is_no_python_needs_no_explanation() -> None:
    assert explain_old_config('\0\0\0 ftypisom') is None
    assert explain_old_config('model = dict(') is None
