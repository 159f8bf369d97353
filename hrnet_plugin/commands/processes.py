"""Processes of a run and workers of its data loaders: they end together and explain why."""

import ctypes
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch.distributed

from ..datasets.fetch import FETCHES

PR_SET_PDEATHSIG = 1  # of Linux's prctl
# Errors of gloo and NCCL when another process has ended or does not answer
LOST_PEER = re.compile(
    r'\bgloo\b|\bNCCL\b|Connection (closed|reset|refused)|Broken pipe|Socket Timeout|'
    r'[Tt]imed out (after|waiting)',
)


def end_with_launcher(environ: Mapping[str, str]) -> None:
    """End this process as soon as the torchrun agent that started it ends (on Linux only).

    The agent ends its processes when it is terminated, but not when it is killed: they would
    continue beside those of the resumed run.

    Args:
        environ: Environment variables; ``TORCHELASTIC_RUN_ID`` shows that there is an agent.
    """
    if 'TORCHELASTIC_RUN_ID' not in environ or sys.platform != 'linux':
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def explained_lost_peers() -> Iterator[None]:
    """Explain errors in a ``with`` block when another process has ended or does not answer."""
    try:
        yield
    except RuntimeError as error:  # torch.distributed.DistError is one
        if not torch.distributed.is_initialized() or not LOST_PEER.search(str(error)):
            raise
        raise RuntimeError(
            f'rank {torch.distributed.get_rank()} of {torch.distributed.get_world_size()} lost '
            'another process of this run, which has ended or has not answered within '
            'env_cfg.dist_cfg.timeout: the output of that process, often on another node, says '
            'why. Fix the cause, then run the same command on all nodes again, with --resume '
            f'({str(error).strip()})'
        ) from error


@contextmanager
def explained_worker_deaths() -> Iterator[None]:
    """Explain errors in a ``with`` block when a data loader's worker dies, with its samples."""
    try:
        yield
    except RuntimeError as error:
        if not re.match(r'DataLoader worker \(pid', str(error)):
            raise
        samples = [sample for fetch in FETCHES for sample in fetch.in_progress()]
        loading = f' while workers were loading {"; ".join(samples)}' if samples else ''
        raise RuntimeError(
            f'{str(error).strip()}{loading}. The usual cause is a lack of memory: use fewer '
            'workers (train_dataloader.num_workers) or smaller batches'
        ) from error
