"""Trainings in several processes, on one node or more: they end together, and say why."""

import ctypes
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch.distributed

PR_SET_PDEATHSIG = 1  # of Linux's prctl
# How gloo and NCCL word that another process is gone or silent
LOST_PEER = re.compile(
    r'\bgloo\b|\bNCCL\b|Connection (closed|reset|refused)|Broken pipe|Socket Timeout|'
    r'[Tt]imed out (after|waiting)',
)


def end_with_launcher(environ: Mapping[str, str]) -> None:
    """Let this process end as soon as the agent of torchrun that started it does.

    The agent ends its processes when it is asked to end, but not when it is killed: they would go
    on, beside those of the run that resumes. Only on Linux; elsewhere, nothing happens.

    Args:
        environ: Tells by its ``TORCHELASTIC_RUN_ID`` that there is an agent.
    """
    if 'TORCHELASTIC_RUN_ID' not in environ or sys.platform != 'linux':
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def explained_lost_peers() -> Iterator[None]:
    """Say what to look for when another process of the run has ended or does not answer."""
    try:
        yield
    except RuntimeError as error:  # torch.distributed.DistError is one
        if not torch.distributed.is_initialized() or not LOST_PEER.search(str(error)):
            raise
        raise RuntimeError(
            f'rank {torch.distributed.get_rank()} of {torch.distributed.get_world_size()} lost '
            'another process of this run, which has ended or has not answered within '
            'env_cfg.dist_cfg.timeout: the output of that process, mostly on another node, says '
            'why. Mend the cause, then start the same command on all nodes again, with --resume '
            f'({str(error).strip()})'
        ) from error
