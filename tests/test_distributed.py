"""Two processes without a GPU do what one does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.runner import Runner
from mmpose.registry import DATASETS, MODELS
from tiny_training import ROOT, Forked, config, write_people

from hrnet_plugin.hooks.sample_fetch import SampleFetch

# Type, arch, and channels of the largest stream. Random numbers differ between processes.
BACKBONES = {
    'HRNet': dict(arch='w18-small-v1'),
    'LiteHRNet': dict(arch='lite-18'),
    'HRFormer': dict(arch='tiny', drop_path_rate=0.0),
}
CHANNELS = {'HRNet': 16, 'LiteHRNet': 40, 'HRFormer': 18}


@pytest.fixture(scope='module')
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('people')
    write_people(folder)
    return folder


def model_of(cfg: Config, backbone: str) -> Any:
    """A model from random weights, the same every time, with the statistics of its norms held."""
    torch.manual_seed(0)
    options = dict(type=f'hrnet_plugin.{backbone}', norm_eval=True, **BACKBONES[backbone])
    head = cfg.model.head | dict(in_channels=CHANNELS[backbone])
    model = MODELS.build(cfg.model | dict(backbone=options, head=head))
    return revert_sync_batchnorm(model).train()


def gradients(model: Any, samples: list[Any]) -> dict[str, torch.Tensor | None]:
    """Gradients of the loss, computed twice: a parameter without one would show then."""
    inner = getattr(model, 'module', model)
    for _ in range(2):
        model.zero_grad()
        data = inner.data_preprocessor(pseudo_collate(samples), training=True)
        losses = model(**data, mode='loss')
        inner.parse_losses(losses)[0].backward()
    return {name: p.grad for name, p in inner.named_parameters()}


@pytest.mark.parametrize('backbone', BACKBONES)
def test_gradients_are_those_of_one_process(people: Path, tmp_path: Path, backbone: str) -> None:
    """user_pains 19: every parameter has one, without find_unused_parameters"""
    cfg = config(people, tmp_path)
    samples = SampleFetch(DATASETS.build(cfg.train_dataloader.dataset), 0)([0, 1, 2, 3])

    def alone() -> None:
        torch.save(gradients(model_of(cfg, backbone), samples), tmp_path / 'one.pth')

    Forked(alone, tmp_path / 'one.txt').succeeds()
    expected = torch.load(tmp_path / 'one.pth')

    def work(rank: int) -> None:
        torch.set_num_threads(1)
        torch.distributed.init_process_group(
            'gloo', init_method=f'file://{tmp_path}/store', rank=rank, world_size=2
        )
        model = MMDistributedDataParallel(model_of(cfg, backbone), find_unused_parameters=False)
        torch.save(gradients(model, samples[2 * rank : 2 * rank + 2]), tmp_path / f'{rank}.pth')
        torch.distributed.destroy_process_group()

    works = [Forked(lambda r=rank: work(r), tmp_path / f'{rank}.txt') for rank in range(2)]
    for each in works:
        each.succeeds()
    assert len(expected) > 100
    largest = max(float(g.abs().max()) for g in expected.values() if g is not None)
    for rank in range(2):
        found = torch.load(tmp_path / f'{rank}.pth')
        for name, gradient in expected.items():
            assert gradient is not None, name
            torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-5 * largest)


def write_config(people: Path, folder: Path, **changes: Any) -> Path:
    """A config file for programs of their own, which know nothing of these tests."""
    imports = dict(imports=['hrnet_plugin', 'tiny_training'], allow_failed_imports=False)
    changes = dict(custom_imports=imports, log_level='INFO') | changes
    config(people, folder / 'run', **changes).dump(folder / 'tiny.py')
    return folder / 'tiny.py'


def call(command: list[Any], cwd: Path) -> str:
    """Run a program of this environment in a folder; its output."""
    program = Path(sys.executable).parent / command[0]
    result = subprocess.run(
        [str(program), *map(str, command[1:])],
        cwd=cwd,
        env=os.environ | dict(PYTHONPATH=f'{ROOT}:{ROOT}/tests', OMP_NUM_THREADS='1'),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-4000:]
    return result.stdout


def metrics_of_one_process(cfg_file: Path, checkpoint: Path) -> dict[str, float]:
    cfg = Config.fromfile(cfg_file)
    results = checkpoint.parent / 'one.json'

    def test() -> None:
        torch.set_num_threads(1)
        cfg.load_from, cfg.work_dir = str(checkpoint), str(checkpoint.parent / 'one')
        results.write_text(json.dumps(Runner.from_cfg(cfg).test()))

    Forked(test, checkpoint.parent / 'one.txt').succeeds()
    return json.loads(results.read_text())


def last_metrics(work_dir: Path) -> dict[str, float]:
    """What the last validation of a training found."""
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    return json.loads(scalars.read_text().splitlines()[-1])


def test_mim_trains_from_any_folder(people: Path, tmp_path: Path) -> None:
    """user_pains 12: under torch's launcher, away from the configs"""
    cfg_file = write_config(people, tmp_path, train_cfg=dict(max_epochs=1))
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    options = ['--launcher', 'pytorch', '--gpus', '2']
    output = call(['mim', 'train', 'hrnet_plugin', cfg_file, *options], elsewhere)
    assert 'Epoch(train) [1][3/3]' in output  # 5 batches in one process, 3 in each of two
    found = last_metrics(tmp_path / 'run')
    expected = metrics_of_one_process(cfg_file, tmp_path / 'run/epoch_1.pth')
    assert expected['confidence'] > 0
    for name, value in expected.items():
        assert found[name] == value, name


@pytest.mark.slow
def test_torchrun_resumes_and_tests(people: Path, tmp_path: Path) -> None:
    """user_pains 12: also in workers that are spawned"""
    workers = dict(mp_cfg=dict(mp_start_method='spawn'))
    cfg_file = write_config(people, tmp_path, env_cfg=workers)
    launch = ['torchrun', '--nproc-per-node', 2]
    train = [*launch, ROOT / 'tools/train.py', cfg_file, '--launcher', 'pytorch']
    call([*train, '--cfg-options', 'train_cfg.max_epochs=2'], tmp_path)
    assert 'resumed epoch: 2' in call([*train, '--resume'], tmp_path)
    checkpoint = tmp_path / 'run/epoch_3.pth'
    test = [*launch, ROOT / 'tools/test.py', cfg_file, checkpoint, '--launcher', 'pytorch']
    call([*test, '--out', 'two.json'], tmp_path)
    two = json.loads((tmp_path / 'two.json').read_text())
    assert two == metrics_of_one_process(cfg_file, checkpoint)
    assert two['confidence'] > 0
