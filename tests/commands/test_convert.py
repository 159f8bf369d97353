"""`hrnet-plugin convert`; what it converts is tested in tests/checkpoints."""

from pathlib import Path

import pytest
import torch

from hrnet_plugin.commands import OK
from hrnet_plugin.commands.cli import main
from hrnet_plugin.models import HRNet

SMALL = 'w18-small-v1'
HEADS = {
    'pose': ('final_layer.weight',),
    'segmentation': ('last_layer.0.weight', 'last_layer.0.bias', 'last_layer.3.weight'),
    'classification': ('incre_modules.0.0.conv1.weight', 'classifier.weight'),
}


def convert(folder: Path, kind: str, *arguments: str) -> int:
    state = HRNet(arch=SMALL, multiscale_output=True).state_dict()
    state |= {name: torch.ones(5, 240, 1, 1) for name in HEADS[kind] if 'bias' not in name}
    if kind == 'segmentation':
        state |= {'last_layer.0.bias': torch.ones(5), 'last_layer.1.running_mean': torch.ones(5)}
    torch.save(dict(state), folder / 'in.pth')
    return main(['convert', str(folder / 'in.pth'), str(folder / 'out.pth'), *arguments])


def test_pose_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, 'pose') == OK
    out = capsys.readouterr().out
    assert out.startswith(f'official HRNet pose model: HRNet {SMALL}, 5 keypoints')
    assert 'upsample' not in out  # the backbone's default


@pytest.mark.parametrize(
    ('kind', 'arguments', 'upsample'),
    [
        ('segmentation', ['--align-corners'], "mode='bilinear', align_corners=True"),
        ('segmentation', ['--no-align-corners'], "mode='bilinear', align_corners=False"),
        ('classification', [], "mode='nearest'"),
    ],
)
def test_prints_the_upsampling(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    arguments: list[str],
    upsample: str,
) -> None:
    assert convert(tmp_path, kind, '--task', kind, *arguments) == OK
    out = capsys.readouterr().out
    assert f'HRNet {SMALL}, 5 classes' in out
    assert f'trained with upsample=dict({upsample}), which the backbone has to be built' in out
    meta = torch.load(tmp_path / 'out.pth', weights_only=True)['meta']
    assert meta['hrnet_plugin']['task'] == kind


@pytest.mark.parametrize(
    ('kind', 'arguments', 'message'),
    [
        ('segmentation', ['--task', 'segmentation'], '--align-corners'),
        ('classification', ['--task', 'segmentation'], '--task classification'),
        ('pose', ['--task', 'detection'], '--task pose'),
    ],
)
def test_refuses(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    arguments: list[str],
    message: str,
) -> None:
    assert convert(tmp_path, kind, *arguments) != OK
    error = capsys.readouterr().err
    assert 'in.pth: ' in error
    assert message in error
    assert 'Traceback' not in error
    assert not (tmp_path / 'out.pth').exists()


def test_keeps_the_backbone_for_poses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, 'classification') == OK
    out = capsys.readouterr().out
    assert 'official ImageNet classifier' in out
    assert 'dropped 2 tensors (incre_modules, classifier): the classification head' in out
