"""What importing costs, and what is there afterwards. Each check is a process of its own."""

import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

OPENMMLAB = ('mmengine', 'mmcv', 'mmpose', 'mmdet')


def run(code: str, cwd: Path, *arguments: str) -> list[str]:
    """Words that code prints in a folder from which the package is only reachable as installed."""
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize(
    ('module', 'forbidden'),
    [
        ('hrnet_plugin', (*OPENMMLAB, 'cv2', 'torch', 'numpy')),
        ('hrnet_plugin.commands.cli', (*OPENMMLAB, 'cv2', 'torch', 'numpy')),
        ('hrnet_plugin.functional', (*OPENMMLAB, 'cv2', 'matplotlib')),
        ('hrnet_plugin.archs', (*OPENMMLAB, 'cv2', 'torch', 'numpy')),
        ('hrnet_plugin.checks.coco', (*OPENMMLAB, 'cv2', 'torch')),
        ('hrnet_plugin.evaluation', ('mmpose.models', 'mmdet')),
        ('hrnet_plugin.models.backbones', ('mmpose.models', 'mmdet')),
    ],
)
def test_imports_no_more_than_it_needs(
    tmp_path: Path, module: str, forbidden: tuple[str, ...]
) -> None:
    code = f"""
import sys, {module}
print({module!r} in sys.modules, *(name for name in {forbidden} if name in sys.modules))
"""
    assert run(code, tmp_path) == ['True']


def test_nothing_is_registered_until_a_registry_is_asked(tmp_path: Path) -> None:
    code = """
import hrnet_plugin
from mmengine.registry import MODELS
print('hrnet_plugin' in MODELS.children)
print(MODELS.get('hrnet_plugin.HRNet').__name__)
print('hrnet_plugin' in MODELS.children)
"""
    assert run(code, tmp_path)[0::2] == ['False', 'True']
    assert 'HRNet' in run(code, tmp_path)


@pytest.mark.parametrize(
    'package',
    [
        '',
        '.apis',
        '.apis.checkpoints',
        '.apis.configs',
        '.checks',
        '.datasets',
        '.hooks',
        '.models',
    ],
)
def test_every_public_name_is_there(package: str) -> None:
    module = import_module(f'hrnet_plugin{package}')
    assert len(module.__all__) > 1
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = module.no_such_name


ORDERS = [
    'import hrnet_plugin, torch',
    'import torch, hrnet_plugin',
    'import mmengine, torch; from mmengine.config import Config; '
    """Config.fromstring("custom_imports = dict(imports=['hrnet_plugin'])", '.py')""",
    "import hrnet_plugin, importlib.util; importlib.util.find_spec('torch'); import torch",
]


# user_pains 15
@pytest.mark.parametrize('order', ORDERS)
def test_the_safe_loader_reads_mmengine_checkpoints_in_any_order(
    tmp_path: Path, order: str
) -> None:
    """And still does after other code has allowed, and forbidden again, the same types."""
    file = tmp_path / 'checkpoint.pth'
    torch.save(dict(history=HistoryBuffer([1.0, 2.0], [1, 3]), pairs=np.array([[0, 1]])), file)
    code = f"""
import sys
{order}
import numpy as np
with torch.serialization.safe_globals([np.ndarray, np.dtype, (np.ndarray, 'numpy.ndarray')]):
    pass
loaded = torch.load(sys.argv[1], weights_only=True)
print(loaded['history'].mean(), loaded['pairs'].sum())
"""
    assert run(code, tmp_path, str(file)) == ['0.75', '1']


@pytest.mark.parametrize(
    'order', ['hrnet_plugin, mmengine.config', 'mmengine.config, hrnet_plugin']
)
def test_our_configs_are_found_by_scope_in_any_order(tmp_path: Path, order: str) -> None:
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'hrnet_plugin::body_2d_keypoint/topdown_heatmap/coco/"
        "td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'"
    )
    code = f"""
import {order}
print(mmengine.config.Config.fromfile('mine.py').model.backbone.arch)
"""
    assert run(code, tmp_path)[-1:] == ['w32']


def test_a_refused_attribute_is_named(tmp_path: Path) -> None:
    """Only statistics of HistoryBuffer are handed out by the stand-in for getattr."""
    from hrnet_plugin.checkpoints.safe_globals import history_statistic

    with pytest.raises(pickle.UnpicklingError, match="attribute 'mean' of <class 'dict'>"):
        history_statistic(dict, 'mean')
