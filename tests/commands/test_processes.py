"""Processes of one run end together and explain why; tests/test_distributed.py has whole runs."""

import os
import select
import signal
import subprocess
import sys
import time

import pytest
import torch

from hrnet_plugin.commands.processes import (
    end_with_launcher,
    explained_lost_peers,
    explained_worker_deaths,
)


def ends_with_its_parent(environ: dict[str, str]) -> bool:
    """Whether a process that calls ``end_with_launcher`` ends when its parent is killed."""
    read, write = os.pipe()
    parent = os.fork()
    if not parent:
        if not os.fork():
            end_with_launcher(environ)
            os.write(write, str(os.getpid()).encode())
            time.sleep(60)
            os._exit(0)
        os.close(write)
        time.sleep(60)
        os._exit(0)
    os.close(write)
    child = int(os.read(read, 20))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    # The pipe ends with the last process that could write to it.
    ended = bool(select.select([read], [], [], 0.5 if not environ else 30)[0])
    if not ended:
        os.kill(child, signal.SIGKILL)
    os.close(read)
    return ended


@pytest.mark.skipif(
    sys.platform != 'linux', reason='only Linux lets a process end with its parent'
)
def test_processes_end_with_torchrun() -> None:
    assert ends_with_its_parent({'TORCHELASTIC_RUN_ID': 'none'})
    assert not ends_with_its_parent({})


@pytest.mark.parametrize(
    'message',
    [
        '[gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:16804: Connection reset by peer',
        '[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 10000ms for recv operation',
        '[Rank 1] Watchdog caught collective operation timeout: NCCL',
    ],
)
def test_a_lost_process_is_explained(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.distributed, 'get_rank', lambda: 1)
    monkeypatch.setattr(torch.distributed, 'get_world_size', lambda: 4)
    error = RuntimeError(message)
    with (
        pytest.raises(RuntimeError, match=r'1 of 4 lost .*--resume') as caught,
        explained_lost_peers(),
    ):
        raise error
    assert caught.value.__cause__ is error
    assert message in str(caught.value)


def test_other_errors_are_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [RuntimeError('shapes differ'), ValueError('gloo')]
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    for error in errors:
        with pytest.raises(type(error)) as caught, explained_lost_peers():
            raise error
        assert caught.value is error
    # A single process has no peers.
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: False)
    error = RuntimeError('Connection reset by peer')
    with pytest.raises(RuntimeError) as caught, explained_lost_peers():
        raise error
    assert caught.value is error


DEADLY = """
import os, signal
from torch.utils.data import DataLoader, Dataset
from hrnet_plugin.commands.processes import explained_worker_deaths
from hrnet_plugin.datasets.fetch import fetch_of

class Deadly(Dataset):
    def __len__(self):
        return 8

    def get_data_info(self, index):
        return dict(img_path=f'{index}.jpg', img_id=10 * index)

    def __getitem__(self, index):
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return index

loader = DataLoader(Deadly(), batch_size=2, num_workers=1)
fetch_of(loader)
with explained_worker_deaths():
    list(loader)
"""


def test_dead_worker_names_its_sample() -> None:
    """In another process: torch may raise the error again whenever a child ends."""
    command = [sys.executable, '-W', 'ignore', '-c', DEADLY]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "while workers were loading sample 3 of Deadly (img_path='3.jpg', img_id=30)" in (
        result.stderr
    )


def test_other_errors_of_workers_are_unchanged() -> None:
    with (
        pytest.raises(RuntimeError, match=r'^Caught ValueError in DataLoader worker process 0$'),
        explained_worker_deaths(),
    ):
        raise RuntimeError('Caught ValueError in DataLoader worker process 0')
