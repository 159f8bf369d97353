"""Processes of one run end together, and say why; whole runs are in tests/test_distributed.py."""

import os
import select
import signal
import sys
import time

import pytest
import torch

from hrnet_plugin.commands.processes import end_with_launcher, explained_lost_peers


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


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux tells a process of it')
def test_what_torchrun_starts_ends_with_it() -> None:
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


def test_other_errors_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [RuntimeError('shapes differ'), ValueError('gloo')]
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    for error in errors:
        with pytest.raises(type(error)) as caught, explained_lost_peers():
            raise error
        assert caught.value is error
    # Of one process alone, nobody can be lost.
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: False)
    error = RuntimeError('Connection reset by peer')
    with pytest.raises(RuntimeError) as caught, explained_lost_peers():
        raise error
    assert caught.value is error
