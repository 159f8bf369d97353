"""Two processes without a GPU do what one does, on one node or on two.

Two nodes are two agents of torchrun on this machine, with nothing in common: each has a folder of
its own, where its part of the training runs.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.runner import Runner
from mmpose.registry import DATASETS, MODELS
from support.paths import ROOT
from support.tiny_training import Forked, config, write_people

from hrnet_plugin.datasets.fetch import SampleFetch

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


@pytest.mark.parametrize(
    'backbone',
    ['HRNet', *(pytest.param(name, marks=pytest.mark.slow) for name in ('LiteHRNet', 'HRFormer'))],
)
def test_gradients_are_those_of_one_process(people: Path, tmp_path: Path, backbone: str) -> None:
    """Each parameter has one, without ``find_unused_parameters``."""
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
    imports = dict(imports=['hrnet_plugin', 'support.tiny_training'], allow_failed_imports=False)
    changes = dict(custom_imports=imports, log_level='INFO') | changes
    config(people, folder / 'run', **changes).dump(folder / 'tiny.py')
    return folder / 'tiny.py'


class Program:
    """A program of this environment that runs in a folder, in a session of its own."""

    def __init__(self, command: list[Any], cwd: Path) -> None:
        self.log = cwd / f'log_{time.time_ns()}.txt'
        with self.log.open('w') as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / command[0]), *map(str, command[1:])],
                cwd=cwd,
                env=os.environ | dict(PYTHONPATH=f'{ROOT}:{ROOT}/tests', OMP_NUM_THREADS='1'),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self.log.read_text()

    def succeeds(self) -> str:
        """Wait until it has ended, and return its output."""
        assert self.process.wait(300) == 0, self.output()[-4000:]
        return self.output()

    def waits_for(self, text: str) -> None:
        """Wait until its output has the text."""
        while text not in self.output():
            assert self.process.poll() is None, self.output()[-4000:]
            time.sleep(0.05)

    def descendants(self) -> list[int]:
        """Its process and all that it has started, children after their parents."""
        pids = [self.process.pid]
        for pid in pids:
            with suppress(FileNotFoundError):
                pids += map(int, Path(f'/proc/{pid}/task/{pid}/children').read_text().split())
        return pids


def call(command: list[Any], cwd: Path) -> str:
    """Run a program of this environment in a folder; its output."""
    return Program(command, cwd).succeeds()


@pytest.fixture
def two_nodes(tmp_path: Path) -> Iterator[Any]:
    """Start one of our tools on two nodes: two programs, in folders of their own."""
    nodes = [tmp_path / 'node_0', tmp_path / 'node_1']
    started = []

    def start(tool: str, *arguments: Any) -> list[Program]:
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            rendezvous = ['--master-addr', '127.0.0.1', '--master-port', free.getsockname()[1]]
        programs = []
        for rank, node in enumerate(nodes):
            node.mkdir(exist_ok=True)
            launch = ['torchrun', '--nnodes', 2, '--nproc-per-node', 1, '--node-rank', rank]
            command = [*launch, *rendezvous, ROOT / 'tools' / tool, *arguments]
            programs.append(Program([*command, '--launcher', 'pytorch'], node))
        started.extend(programs)
        return programs

    yield start
    for program in started:
        for pid in program.descendants() if program.process.poll() is None else ():
            os.kill(pid, signal.SIGKILL)
        program.process.wait()


def metrics_of_one_process(cfg_file: Path, checkpoint: Path) -> dict[str, float]:
    cfg = Config.fromfile(cfg_file)
    results = checkpoint.parent / 'one.json'

    def test() -> None:
        torch.set_num_threads(1)
        cfg.load_from, cfg.work_dir = str(checkpoint), str(checkpoint.parent / 'one')
        results.write_text(json.dumps(Runner.from_cfg(cfg).test()))

    Forked(test, checkpoint.parent / 'one.txt').succeeds()
    return json.loads(results.read_text())


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    assert len(state) > 5
    return state


def assert_same_weights(found: Path, expected: Path) -> None:
    for name, tensor in weights(expected).items():
        assert weights(found)[name].equal(tensor), name


def last_metrics(work_dir: Path) -> dict[str, float]:
    """What the last validation of a training found."""
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    return json.loads(scalars.read_text().splitlines()[-1])


@pytest.fixture(scope='module')
def one_node(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where mim has trained for an epoch, in two processes, from another folder."""
    folder = tmp_path_factory.mktemp('one_node')
    cfg_file = write_config(people, folder, train_cfg=dict(max_epochs=1))
    elsewhere = folder / 'elsewhere'
    elsewhere.mkdir()
    options = ['--launcher', 'pytorch', '--gpus', '2']
    output = call(['mim', 'train', 'hrnet_plugin', cfg_file, *options], elsewhere)
    assert 'Epoch(train) [1][3/3]' in output  # 5 batches in one process, 3 in each of two
    return folder


def test_mim_trains_from_any_folder(one_node: Path) -> None:
    """Under torch's launcher, away from the configs."""
    found = last_metrics(one_node / 'run')
    expected = metrics_of_one_process(one_node / 'tiny.py', one_node / 'run/epoch_1.pth')
    assert expected['confidence'] > 0
    for name, value in expected.items():
        assert found[name] == value, name


# Nodes that share no folder: stock metrics must not gather through files.
UNSHARED = ['--cfg-options', 'work_dir=run', 'val_evaluator.1.collect_device=gpu']


@pytest.mark.slow
def test_two_nodes_train_as_one(one_node: Path, two_nodes: Any, tmp_path: Path) -> None:
    """They validate as one, too."""
    for program in two_nodes('train.py', one_node / 'tiny.py', *UNSHARED):
        program.succeeds()
    run = tmp_path / 'node_0/run'
    assert_same_weights(run / 'epoch_1.pth', one_node / 'run/epoch_1.pth')
    found, expected = last_metrics(run), last_metrics(one_node / 'run')
    assert expected['confidence'] > 0
    for name in ('confidence', 'coco/AP', 'coco/AR'):
        assert found[name] == expected[name], name


@pytest.mark.slow
def test_two_nodes_test_as_one(one_node: Path, two_nodes: Any, tmp_path: Path) -> None:
    checkpoint = one_node / 'run/epoch_1.pth'
    options = ['--cfg-options', 'work_dir=run', 'test_evaluator.1.collect_device=gpu']
    for program in two_nodes(
        'test.py', one_node / 'tiny.py', checkpoint, '--out', 'two.json', *options
    ):
        program.succeeds()
    found = json.loads((tmp_path / 'node_0/two.json').read_text())
    assert found == metrics_of_one_process(one_node / 'tiny.py', checkpoint)


@pytest.fixture(scope='module')
def uninterrupted(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where two processes of one node have trained for 40 epochs."""
    folder = tmp_path_factory.mktemp('uninterrupted')
    hooks = dict(checkpoint=dict(interval=5))
    schedule = dict(max_epochs=40, val_interval=40)
    cfg_file = write_config(people, folder, train_cfg=schedule, default_hooks=hooks)
    launch = ['torchrun', '--nproc-per-node', 2, ROOT / 'tools/train.py', cfg_file]
    call([*launch, '--launcher', 'pytorch'], folder)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='processes end with their agent on Linux')
@pytest.mark.parametrize('lost', [0, 1])
@pytest.mark.parametrize('how', ['killed', 'silent'])
def test_a_node_is_lost_and_the_run_resumed(
    uninterrupted: Path, two_nodes: Any, tmp_path: Path, how: str, lost: int
) -> None:
    cfg_file = uninterrupted / 'tiny.py'
    shared = ['--cfg-options', f'work_dir={tmp_path}/run', 'val_evaluator.1.collect_device=gpu']
    nodes = two_nodes('train.py', cfg_file, *shared, 'env_cfg.dist_cfg.timeout=10')
    nodes[0].waits_for(' [7][3/3]')
    started = nodes[lost].descendants()
    assert len(started) >= 2
    if how == 'killed':
        nodes[lost].process.kill()
    else:
        for pid in started:
            os.kill(pid, signal.SIGSTOP)
    other = nodes[1 - lost]
    assert other.process.wait(60) == 1
    assert f'rank {1 - lost} of 2 lost another process of this run' in other.output()
    if how == 'killed':  # its processes did not go on without it
        assert nodes[lost].process.wait() == -signal.SIGKILL
        for _ in range(100):
            alive = [pid for pid in started if Path(f'/proc/{pid}').exists()]
            if not alive:
                break
            time.sleep(0.1)
        assert alive == []
    else:
        for pid in started:
            os.kill(pid, signal.SIGKILL)
        nodes[lost].process.wait()
    assert not (tmp_path / 'run/epoch_40.pth').exists()

    first, _ = [p.succeeds() for p in two_nodes('train.py', cfg_file, *shared, '--resume')]
    assert 'resumed epoch: ' in first
    assert_same_weights(tmp_path / 'run/epoch_40.pth', uninterrupted / 'run/epoch_40.pth')


@pytest.mark.slow
def test_torchrun_resumes_and_tests(people: Path, tmp_path: Path) -> None:
    """Also with workers that are spawned."""
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
