"""Checks before the stock tools run, and their options."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from support.optional import needs
from support.paths import ROOT

from hrnet_plugin.commands import launch

CONFIGS = ROOT / 'configs'
OLD = """
_base_ = ['../../../../_base_/default_runtime.py', '../../../../_base_/datasets/coco.py']
evaluation = dict(interval=10, metric='mAP', save_best='AP')
optimizer = dict(type='Adam', lr=5e-4)
optimizer_config = dict(grad_clip=None)
lr_config = dict(policy='step', step=[170, 200])
total_epochs = 210
model = dict(type='TopDown', backbone=dict(type='HRNet'))
data = dict(samples_per_gpu=64)
"""


def run(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> None:
    monkeypatch.setattr(sys, 'argv', ['train.py', *map(str, arguments)])
    launch.run_stock_tool('train')


def test_old_config_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Further cases are in tests/checks/test_old_config.py."""
    path = tmp_path / 'hrnet_w32_coco_256x192.py'
    path.write_text(OLD)
    with pytest.raises(ValueError, match=r'.py: this is a config of MMPose 0\.x') as caught:
        run(monkeypatch, path)
    assert 'lr_config: param_scheduler' in str(caught.value)


class TestCustomImports:
    def check(self, names: list[str], match: str) -> None:
        cfg = Config(dict(custom_imports=dict(imports=names)))
        with pytest.raises(ImportError, match=match):
            launch.import_custom(cfg, 'my.py')

    def test_original_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / 'my_parts.py').write_text('import os\n\nfrom os import no_such_thing\n')
        self.check(
            ['os', 'my_parts'],
            r"my.py names my_parts, whose import failed: ImportError: .*'no_such_thing'.*"
            r'my_parts.py, line 3\)',
        )

    def test_module_of_a_module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / 'my_others.py').write_text('import no_such_package\n')
        self.check(['my_others'], r"No module named 'no_such_package' \(.*my_others.py, line 1")

    def test_missing(self) -> None:
        self.check(['nowhere.part'], 'put the folder that holds nowhere on PYTHONPATH')

    def test_before_anything_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / 'my.py'
        path.write_text("custom_imports = dict(imports=['nowhere'])\n")
        with pytest.raises(ImportError, match=f'{path} names nowhere'):
            run(monkeypatch, path)

    def test_may_be_allowed_to_fail(self) -> None:
        custom = dict(imports=['nowhere'], allow_failed_imports=True)
        launch.import_custom(Config(dict(custom_imports=custom)), 'my.py')


class TestLauncher:
    def test_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('WORLD_SIZE', '2')
        with pytest.raises(ValueError, match='2 processes were launched'):
            run(monkeypatch, 'any.py')

    def test_absent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv('WORLD_SIZE', raising=False)
        with pytest.raises(ValueError, match='torchrun --nproc-per-node N'):
            run(monkeypatch, 'any.py', '--launcher', 'pytorch')

    @pytest.mark.parametrize('value', ['soon', '-1'])
    def test_timeout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        """Also that --cfg-options are known when processes are joined."""
        path = tmp_path / 'my.py'
        path.write_text('')
        monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
        monkeypatch.setenv('WORLD_SIZE', '2')
        options = ['--cfg-options', f'env_cfg.dist_cfg.timeout={value}', '--resume']
        with pytest.raises(ValueError, match=f'timeout is .?{value}.?; expected a number of sec'):
            run(monkeypatch, path, '--launcher', 'pytorch', *options)


class TestCpuOptions:
    def test_of_the_wrapper(self) -> None:
        cfg = Config(dict(find_unused_parameters=True))
        assert set(launch.cpu_options(cfg)) == {
            'model_wrapper_cfg.type=MMDistributedDataParallel',
            'model_wrapper_cfg.broadcast_buffers=False',
            'model_wrapper_cfg.find_unused_parameters=True',
            'model_wrapper_cfg.device_ids=None',
        }

    def test_own_wrapper_is_kept(self) -> None:
        cfg = Config(dict(model_wrapper_cfg=dict(type='Mine', broadcast_buffers=True)))
        assert set(launch.cpu_options(cfg)) == {
            'model_wrapper_cfg.find_unused_parameters=False',
            'model_wrapper_cfg.device_ids=None',
        }

    def test_norms(self, capsys: pytest.CaptureFixture[str]) -> None:
        (path,) = CONFIGS.rglob('td-hm_hrformer-small_8xb32-210e_coco-256x192.py')
        options = launch.cpu_options(Config.fromfile(path))
        assert 'model.backbone.norm_cfg.type=BN' in options
        assert 'not synchronised' in capsys.readouterr().out


TASKS = {
    'mmseg': 'fcn_hr18s-v1_4xb2-160k_cityscapes-512x1024',
    'mmdet': 'faster-rcnn_hrnetv2p-w18-1x_coco',
    'mmpretrain': 'hrnet-w18-small-v1_4xb32_in1k',
    'mmpose': 'td-hm_hrnet-w18-small-v1_demo',
}


class TestTools:
    @pytest.fixture
    def runs(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The tools that would have been run."""
        runs: list[str] = []
        monkeypatch.setattr(launch.runpy, 'run_path', lambda path, run_name: runs.append(path))
        return runs

    @pytest.mark.parametrize('package', [pytest.param(p, marks=needs(p)) for p in TASKS])
    def test_of_the_package_that_a_config_is_for(
        self, package: str, runs: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (path,) = CONFIGS.rglob(f'{TASKS[package]}.py')
        run(monkeypatch, path)
        (tool,) = runs
        assert tool.endswith(f'/{package}/.mim/tools/train.py')

    @needs('mmseg')
    @pytest.mark.parametrize('missing', ['mmseg', 'ftfy'])
    def test_missing_package(
        self, missing: str, runs: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (path,) = CONFIGS.rglob(f'{TASKS["mmseg"]}.py')

        def import_module(name: str) -> Any:
            if name == 'hrnet_plugin':
                return None
            raise ModuleNotFoundError(f'No module named {missing!r}', name=missing)

        monkeypatch.setattr(launch, 'import_module', import_module)
        with pytest.raises(ImportError, match=f'{path} needs {missing}, .* pip install mmsegme'):
            run(monkeypatch, path)
        assert runs == []

    def test_missing_base(self, runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        (path,) = CONFIGS.rglob(f'{TASKS["mmseg"]}.py')
        monkeypatch.setattr('mmengine.config.config.is_installed', lambda package: False)
        with pytest.raises(ImportError, match=f'{path} needs mmseg.*==1.2.2 ftfy regex installs'):
            run(monkeypatch, path)
        assert runs == []


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_amp_needs_no_gpu(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is one, ``--amp`` stays the option of the stock tool."""
    (path,) = CONFIGS.rglob('td-hm_hrnet-w32_8xb64-210e_coco-256x192.py')
    monkeypatch.setattr(launch, 'get_device', lambda: device)
    monkeypatch.setattr(launch.runpy, 'run_path', lambda *args, **kwargs: None)
    run(monkeypatch, path, '--amp', '--cfg-options', 'train_cfg.max_epochs=1')
    assert ('--amp' in sys.argv) == (device == 'cuda')
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(launch.ToolArguments.parse(sys.argv[1:]).cfg_options)
    assert cfg.train_cfg.max_epochs == 1
    chosen = cfg.optim_wrapper.get('type'), cfg.optim_wrapper.get('precision')
    replaced = 'hrnet_plugin.AutocastOptimWrapper', 'auto'
    assert chosen == (replaced if device == 'cpu' else (None, None))


def test_keeps_freed_memory_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(launch, 'disable_malloc_trim', lambda: kept.append(True))
    for device in ('cuda', 'cpu'):
        monkeypatch.setattr(launch, 'get_device', lambda device=device: device)
        with pytest.raises(SystemExit):
            run(monkeypatch, '--help')
        assert kept == [True] * (device == 'cpu')


def test_process_group_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the tool fails."""
    left = []
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.distributed, 'destroy_process_group', lambda: left.append(True))
    with pytest.raises(SystemExit):
        run(monkeypatch, '--help')
    assert left == [True]
