"""Pose needs neither MMSegmentation nor MMPretrain, and none of the other tasks needs MMPose."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.optional import is_installed, needs

from hrnet_plugin.environment.requirements import OPTIONAL_MODULES
from hrnet_plugin.models import HRNet

OPENMMLAB = ('mmpose', 'mmdet', 'mmseg', 'mmpretrain')
EVERY_MODULE = """
import pkgutil
import hrnet_plugin
names = [m.name for m in pkgutil.walk_packages(hrnet_plugin.__path__, 'hrnet_plugin.')]
for name in names:
    if not name.endswith(('__main__', '._probe')):
        __import__(name)
print(len(names))
"""
POSE = """
import hrnet_plugin
from mmpose.apis import init_model
config = 'hrnet_plugin::demo/td-hm_hrnet-w18-small-v1_demo.py'
open('mine.py', 'w').write(f'_base_ = {config!r}')
print(type(init_model('mine.py', device='cpu').backbone).__module__)
from hrnet_plugin.commands.cli import main
options = ['--task', 'segmentation', '--no-align-corners']
print(main(['convert', 'official.pth', 'converted.pth', *options]))
"""


def run(code: str, folder: Path, *missing: str) -> list[str]:
    """Words that code prints in a process in which some packages cannot be imported."""
    block = f'import sys; sys.modules.update(dict.fromkeys({missing!r}))\n'
    command = [sys.executable, '-W', 'ignore', '-c', block + code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_pose_needs_no_package_of_other_tasks(tmp_path: Path) -> None:
    """Nor does converting weights for them."""
    # Without what our backbones record in a state dict
    state = dict(HRNet(arch='w18-small-v1', multiscale_output=True).state_dict())
    channels = 15 * 16
    state |= {
        'last_layer.0.weight': torch.ones(channels, channels, 1, 1),
        'last_layer.0.bias': torch.ones(channels),
        'last_layer.3.weight': torch.ones(5, channels, 1, 1),
        'last_layer.3.bias': torch.ones(5),
    } | {
        f'last_layer.1.{name}': torch.ones(channels)
        for name in ('weight', 'bias', 'running_mean', 'running_var')
    }
    torch.save(state, tmp_path / 'official.pth')
    words = run(POSE, tmp_path, *OPTIONAL_MODULES)
    assert 'hrnet_plugin.models.backbones.hrnet' in words
    assert words[-1] == '0'
    converted = torch.load(tmp_path / 'converted.pth')['state_dict']
    assert converted['decode_head.conv_seg.weight'].shape == (5, channels, 1, 1)


@pytest.mark.slow
def test_every_module_imports_without_them(tmp_path: Path) -> None:
    assert int(run(EVERY_MODULE, tmp_path, *OPTIONAL_MODULES)[-1]) > 100


SETTINGS = """
import torch
from importlib import import_module
from mmengine.registry import init_default_scope
channels = (16, 32, 64, 128)
backbone = dict(type='hrnet_plugin.HRNet', arch='w18-small-v1', multiscale_output=True)
def run(scope, **model):
    init_default_scope(scope)
    import_module(f'{scope}.models')
    model = import_module(f'{scope}.registry').MODELS.build(dict(backbone=backbone, **model))
    for size in ((90, 122), (77, 101)):
        with torch.no_grad():
            out = model.eval()(torch.rand(1, 3, *size))
        while not torch.is_tensor(out):
            out = out[0]
        print(*out.shape[1:])
"""
# Code that builds and runs a model of a package, and what it prints for images of (90, 122) and
# (77, 101): streams of stride 4 have (23, 31) and (20, 26) pixels, and levels of stride 8, (12,
# 16) and (10, 13).
TASKS: dict[str, tuple[str, str]] = {
    'mmseg': (
        """
run('mmseg', type='EncoderDecoder', decode_head=dict(
    type='FCNHead', in_channels=channels, in_index=(0, 1, 2, 3), channels=240, num_classes=7,
    input_transform='resize_concat', kernel_size=1, num_convs=1, concat_input=False,
    norm_cfg=dict(type='BN')))
run('mmseg', type='EncoderDecoder', decode_head=dict(
    type='FCNHead', in_channels=240, channels=240, num_classes=7, num_convs=0,
    concat_input=False), neck=dict(type='hrnet_plugin.ConcatStreams', in_channels=channels))
""",
        '7 23 31 7 20 26 ' * 2,
    ),
    'mmpretrain': (
        """
run('mmpretrain', type='ImageClassifier',
    neck=[dict(type='hrnet_plugin.ClassificationNeck', in_channels=channels),
          dict(type='GlobalAveragePooling')],
    head=dict(type='LinearClsHead', in_channels=2048, num_classes=7))
""",
        '7 7',
    ),
    'mmdet': (
        """
run('mmdet', type='FCOS',
    neck=dict(type='hrnet_plugin.HRFPN', in_channels=channels, out_channels=8, stride=2),
    bbox_head=dict(type='FCOSHead', num_classes=7, in_channels=8, feat_channels=8,
                   stacked_convs=1, norm_cfg=None, strides=(8, 16, 32, 64, 128)))
""",
        '7 12 16 7 10 13',
    ),
}


@pytest.mark.parametrize('package', [pytest.param(p, marks=needs(p)) for p in TASKS])
def test_a_task_needs_its_own_package_only(tmp_path: Path, package: str) -> None:
    """Backbone and necks from its registry, with images that 32 does not divide."""
    code, expected = TASKS[package]
    words = run(SETTINGS + code, tmp_path, *(p for p in OPENMMLAB if p != package))
    numbers = ' '.join(word for word in words if word.isdecimal())
    assert numbers == expected.strip()


@pytest.mark.parametrize('installed', [True, False])
def test_what_needs_a_missing_package_is_skipped(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_installed('torch')
    spec: Any = object()
    monkeypatch.setattr('support.optional.find_spec', lambda name: spec if installed else None)
    mark = needs('mmseg').mark
    assert mark.args == (not installed,)
    if not installed:
        assert mark.kwargs == dict(reason='mmseg is not installed: `make TASKS=all` installs it')
