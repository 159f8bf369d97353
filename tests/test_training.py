"""Trainings that are killed and resumed must end as if nothing had happened."""

import errno
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim.optimizer import amp_optimizer_wrapper
from support.tiny_training import Forked, config, train, write_people

LAST = 'epoch_3.pth'


def quick(names: Collection[str], *kept: str) -> list[Any]:
    """Parameters of a test; all but a few of them are slow."""
    assert set(kept) < set(names)
    slow = pytest.mark.slow
    return [pytest.param(n, id=n, marks=[] if n in kept else [slow]) for n in names]


@pytest.fixture(scope='module')
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('people')
    write_people(folder)
    return folder


def start(cfg: Config, work_dir: Path, prepare: Callable[[], object] = lambda: None) -> Forked:
    """Train in another process, which runs ``prepare`` first; resume what is there."""
    work_dir.mkdir(exist_ok=True)

    def run() -> None:
        prepare()
        train(cfg)

    return Forked(run, work_dir / 'output.txt')


def resumed(people: Path, work_dir: Path, **changes: Any) -> Config:
    return config(people, work_dir, resume=True, **changes)


@pytest.fixture(scope='module')
def whole(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The folder of an uninterrupted run, and the seconds that it took."""
    work_dir, began = tmp_path_factory.mktemp('whole'), time.monotonic()
    start(config(people, work_dir), work_dir).succeeds()
    return work_dir, time.monotonic() - began


def checkpoint(path: Path) -> dict[str, Any]:
    """Return the state of a training, read by the safe loader."""
    loaded = torch.load(path, weights_only=True)
    return {key: loaded[key] for key in ('state_dict', 'optimizer')}


def memory(path: Path) -> tuple[Any, ...]:
    """The best score, the name of its file, which checkpoints are kept, and the schedulers."""
    loaded = torch.load(path, weights_only=True)
    info = loaded['message_hub']['runtime_info']
    best = Path(info['best_ckpt']).name
    return info['best_score'], best, info['keep_ckpt_ids'], loaded['param_schedulers']


def assert_same(work_dir: Path, expected: Path, last: str = LAST) -> None:
    """The same weights to the last bit, the same best score, and the same files."""
    torch.testing.assert_close(
        checkpoint(work_dir / last), checkpoint(expected / last), rtol=0, atol=0
    )
    assert memory(work_dir / last) == memory(expected / last)
    files = {p.name for p in work_dir.glob('*') if p.suffix in ('.pth', '.part')}
    assert files == {p.name for p in expected.glob('*.pth')}
    assert Path((work_dir / 'last_checkpoint').read_text()) == work_dir / last
    (best,) = expected.glob('best_*')
    weights = [
        torch.load(d / best.name, weights_only=True)['state_dict'] for d in (work_dir, expected)
    ]
    torch.testing.assert_close(*weights, rtol=0, atol=0)


def kills_itself(name: str, call: int) -> Callable[[], None]:
    """Let a process kill its group in the given call of a function of ``os``, counted from 1."""

    def prepare() -> None:
        function, left, process = getattr(os, name), [call], os.getpid()

        def count_down(*args: Any, **kwargs: Any) -> Any:
            if os.getpid() == process:
                left[0] -= 1
            if not left[0]:
                os.killpg(process, signal.SIGKILL)
            return function(*args, **kwargs)

        setattr(os, name, count_down)

    return prepare


# A checkpoint, last_checkpoint, the best one, and again the first two: each is written with two
# calls of fsync, before and after it is renamed.
MOMENTS = {
    'the first is half-written': ('fsync', 1),
    'last_checkpoint does not name it yet': ('fsync', 2),
    'the best is half-written, its predecessor not': ('fsync', 15),
    'the best is written, the score not': ('fsync', 16),
    'the old best is not yet deleted': ('remove', 1),
    'a surplus one is not yet deleted': ('remove', 2),
}


@pytest.mark.parametrize(
    'moment',
    quick(MOMENTS, 'the first is half-written', 'the best is half-written, its predecessor not'),
)
def test_killed_while_saving(
    people: Path, whole: tuple[Path, float], tmp_path: Path, moment: str
) -> None:
    run = start(config(people, tmp_path), tmp_path, kills_itself(*MOMENTS[moment]))
    assert run.wait() == -signal.SIGKILL
    start(resumed(people, tmp_path), tmp_path).succeeds()
    assert_same(tmp_path, whole[0])


@pytest.mark.slow
def test_killed_at_random_moments(people: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    """Kill trainings at random moments, and resume each until it is through."""
    expected, duration = whole
    moments = random.Random(0)
    killed = finished = 0
    while killed < 20:
        work_dir = tmp_path / str(finished)
        while True:
            began = time.monotonic()
            run = start(resumed(people, work_dir), work_dir)
            if killed < 20:
                end = began + moments.uniform(0.2, 1) * duration
                while time.monotonic() < end and not run.ended():
                    time.sleep(0.01)
                if not run.ended():
                    run.kill()
            code = run.wait()
            if code == 0:
                duration = min(duration, time.monotonic() - began)
                break
            assert code == -signal.SIGKILL, run.log.read_text()[-4000:]
            killed += 1
        assert_same(work_dir, expected)
        finished += 1


class TestDamage:
    """The last checkpoint is truncated."""

    @pytest.fixture
    def finished(self, whole: tuple[Path, float], tmp_path: Path) -> Path:
        """A copy of a run, with checkpoints of its second and third epoch."""
        folder = tmp_path / 'finished'
        shutil.copytree(whole[0], folder)
        (folder / 'last_checkpoint').write_text(str(folder / LAST))
        (folder / 'output.txt').unlink()
        return folder

    def cut_short(self, path: Path) -> None:
        os.truncate(path, path.stat().st_size - 1000)

    def test_the_one_before_is_used(
        self, people: Path, whole: tuple[Path, float], finished: Path
    ) -> None:
        self.cut_short(finished / LAST)
        (finished / 'epoch_3.pth.12345.part').write_bytes(b'half')
        run = start(resumed(people, finished), finished)
        run.succeeds()
        assert_same(finished, whole[0])
        log = run.log.read_text()
        assert f'cannot resume from {finished}/{LAST}: it is cut short, with ' in log
        assert f'resuming from {finished}/epoch_2.pth' in log
        assert f'deleting {finished}/epoch_3.pth.12345.part' in log

    def test_none_is_left(self, people: Path, finished: Path) -> None:
        for name in ('epoch_2.pth', LAST):
            self.cut_short(finished / name)
        run = start(resumed(people, finished), finished)
        assert run.wait() == 1
        log = run.log.read_text()
        for name in ('epoch_2.pth', LAST):
            assert f'\n{finished}/{name}: it is cut short' in log
        assert f'delete them and {finished}/last_checkpoint' in log

    def test_the_one_asked_for(self, people: Path, finished: Path) -> None:
        self.cut_short(finished / LAST)
        cfg = resumed(people, finished, load_from=str(finished / LAST))
        run = start(cfg, finished)
        assert run.wait() == 1
        assert f'cannot resume from {finished}/{LAST}: it is cut short' in run.log.read_text()


def test_middle_of_an_epoch(people: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    """With checkpoints every two of the fifteen iterations; none is repeated."""
    save = dict(default_hooks=dict(checkpoint=dict(by_epoch=False, interval=2)))
    start(config(people, tmp_path, **save), tmp_path, kills_itself('replace', 11)).wait()
    assert {p.name for p in tmp_path.glob('iter_*.pth')} >= {'iter_8.pth'}
    assert not (tmp_path / 'iter_15.pth').exists()
    run = start(resumed(people, tmp_path, log_level='INFO', **save), tmp_path)
    run.succeeds()
    assert re.search(r'Resuming after [1-4] batches of epoch [23]', run.log.read_text())
    last, expected = tmp_path / 'iter_15.pth', whole[0] / LAST
    torch.testing.assert_close(checkpoint(last), checkpoint(expected), rtol=0, atol=0)
    (score, *_, schedulers), (best, *_, same) = memory(last), memory(expected)
    assert (score, schedulers) == (best, same)


@pytest.mark.parametrize('workers', [0, pytest.param(1, marks=pytest.mark.slow)])
def test_number_of_workers_changes_nothing(
    people: Path, whole: tuple[Path, float], tmp_path: Path, workers: int
) -> None:
    loader = dict(num_workers=workers, persistent_workers=False)
    start(config(people, tmp_path, train_dataloader=loader), tmp_path).succeeds()
    assert_same(tmp_path, whole[0])


def test_epochs_differ(people: Path, tmp_path: Path) -> None:
    """Each epoch augments the same samples differently."""
    loader = dict(sampler=dict(shuffle=False), num_workers=0, persistent_workers=False)
    changes = dict(train_dataloader=loader, train_cfg=dict(max_epochs=1))
    batches: list[Any] = []

    def watch() -> None:
        runner = train(config(people, tmp_path, **changes))
        fetch = runner.train_loop.dataloader.dataset.__getitems__
        for epoch in (0, 0, 1):
            fetch.begin_epoch(seed=0, epoch=epoch)
            batches.append(torch.stack([sample['inputs'] for sample in fetch([0, 1, 2])]))
        torch.testing.assert_close(batches[0], batches[1], rtol=0, atol=0)
        assert not torch.equal(batches[0], batches[2])

    work = Forked(watch, tmp_path / 'output.txt')
    work.succeeds()


def allow_amp_on_cpu() -> None:
    """MMEngine's wrapper insists on a GPU, though it would do with bfloat16 on a CPU."""
    amp_optimizer_wrapper.is_cuda_available = lambda: True


EMA = dict(type='EMAHook', momentum=0.1)
# Of each: changes to the config, preparation, and what the last checkpoint shows of it
OPTIONS: dict[str, tuple[dict[str, Any], Callable[[], object], Callable[[Any], bool]]] = {
    # Without `randomness`, MMEngine chooses a seed, which the resumed run must reuse.
    'a seed of its own': (
        dict(randomness=dict(seed=None)),
        lambda: None,
        lambda last: last['meta']['seed'] == last['exact_resume']['sampler_seed'] != 0,
    ),
    'different seeds of ranks': (
        dict(randomness=dict(diff_rank_seed=True)),
        lambda: None,
        lambda last: last['exact_resume']['sampler_seed'] != 0,
    ),
    'mixed precision': (
        dict(optim_wrapper=dict(type='AmpOptimWrapper', dtype='bfloat16')),
        allow_amp_on_cpu,
        lambda last: 'loss_scaler' in last['optimizer'],
    ),
    'mixed precision on a CPU': (
        dict(optim_wrapper=dict(type='hrnet_plugin.AutocastOptimWrapper')),
        lambda: None,
        lambda last: 'loss_scaler' not in last['optimizer'],
    ),
    'accumulated gradients': (
        dict(optim_wrapper=dict(accumulative_counts=2), train_dataloader=dict(batch_size=5)),
        lambda: None,
        lambda last: last['meta']['iter'] == 8 and steps(last) == 4,
    ),
    'moving average': (
        dict(custom_hooks=[EMA]),
        lambda: None,
        lambda last: int(last['ema_state_dict']['steps']) == 10,
    ),
    'learning rate by batch': (
        dict(auto_scale_lr=dict(enable=True, base_batch_size=8)),
        lambda: None,
        lambda last: last['optimizer']['param_groups'][0]['initial_lr'] == 1e-2 * 4 / 8,
    ),
}


def steps(checkpoint: dict[str, Any]) -> int:
    return int(checkpoint['optimizer']['state'][0]['step'])


@pytest.mark.parametrize('option', quick(OPTIONS, 'mixed precision', 'mixed precision on a CPU'))
def test_resumes_with(people: Path, tmp_path: Path, option: str) -> None:
    changes, prepare, shows = OPTIONS[option]
    changes = changes | dict(train_cfg=dict(max_epochs=2))
    first, second = tmp_path / 'first', tmp_path / 'second'
    start(config(people, first, **changes), first, prepare).succeeds()
    second.mkdir()
    shutil.copy(first / 'epoch_1.pth', second)
    start(resumed(people, second, **changes), second, prepare).succeeds()
    last = torch.load(first / 'epoch_2.pth', weights_only=True)
    assert shows(last)
    assert all(torch.isfinite(weight).all() for weight in last['state_dict'].values())
    torch.testing.assert_close(
        checkpoint(second / 'epoch_2.pth'), checkpoint(first / 'epoch_2.pth'), rtol=0, atol=0
    )


@pytest.mark.slow
def test_hrformer_in_mixed_precision(people: Path, tmp_path: Path) -> None:
    """As its recipe is run; its norms are synchronised where there are several processes."""
    backbone = dict(
        _delete_=True, type='hrnet_plugin.HRFormer', arch='tiny', norm_cfg=dict(type='SyncBN')
    )
    changes = dict(
        model=dict(backbone=backbone, head=dict(in_channels=18)),
        optim_wrapper=dict(type='AmpOptimWrapper', dtype='bfloat16'),
        train_dataloader=dict(batch_size=5),  # so that the last one has more than one instance
        train_cfg=dict(max_epochs=1),
    )
    start(config(people, tmp_path, **changes), tmp_path, allow_amp_on_cpu).succeeds()
    last = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)
    assert steps(last) == last['meta']['iter'] == 4
    assert all(torch.isfinite(weight).all() for weight in last['state_dict'].values())


@pytest.mark.slow
def test_stops_early(people: Path, tmp_path: Path) -> None:
    hook = dict(type='EarlyStoppingHook', monitor='confidence', rule='greater', patience=1)
    start(config(people, tmp_path, custom_hooks=[hook]), tmp_path).succeeds()
    assert (tmp_path / 'epoch_2.pth').exists()
    assert not (tmp_path / LAST).exists()


@pytest.mark.slow
def test_tensorboard(people: Path, tmp_path: Path) -> None:
    backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    # MMEngine keeps visualizers by name; others of this process have the usual one.
    changes = dict(
        visualizer=dict(name='other', vis_backends=backends), train_cfg=dict(max_epochs=1)
    )
    start(config(people, tmp_path, **changes), tmp_path).succeeds()
    assert list(tmp_path.glob('*/vis_data/events.out.tfevents.*'))


def test_full_disk(people: Path, tmp_path: Path) -> None:
    """The error names the file; the checkpoints before it stay, and are resumed from."""

    def fill_disk() -> None:
        fsync, left = os.fsync, [11]  # of the second epoch's checkpoint

        def full(descriptor: int) -> None:
            left[0] -= 1
            if not left[0]:
                raise OSError(errno.ENOSPC, 'No space left on device')
            fsync(descriptor)

        os.fsync = full

    run = start(config(people, tmp_path), tmp_path, fill_disk)
    assert run.wait() == 1
    assert f'cannot write {tmp_path}/epoch_2.pth: No space left on device' in run.log.read_text()
    assert {p.name for p in tmp_path.glob('*.p*t*')} == {
        'epoch_1.pth',
        'best_confidence_epoch_1.pth',
    }
    assert Path((tmp_path / 'last_checkpoint').read_text()).name == 'epoch_1.pth'
