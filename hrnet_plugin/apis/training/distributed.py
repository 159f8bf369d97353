"""Processes of a training or an evaluation that work together, also without a GPU."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import torch.distributed
from mmengine.config import Config


def cpu_options(cfg: Config) -> list[str]:
    """Return the changes of `cpu_changes` as arguments of ``--cfg-options``."""
    return [f'{key}={value}' for key, value in cpu_changes(cfg).items()]


def cpu_changes(cfg: Config) -> dict[str, Any]:
    """Return changes with which a config runs in several processes without a GPU.

    DistributedDataParallel has no device then, and SyncBN works on GPUs only.

    Args:
        cfg: Config.

    Returns:
        New values by their keys in the config, as ``merge_from_dict`` takes them.
    """
    options: dict[str, Any] = {
        'model_wrapper_cfg.type': 'MMDistributedDataParallel',
        'model_wrapper_cfg.broadcast_buffers': False,
        'model_wrapper_cfg.find_unused_parameters': cfg.get('find_unused_parameters', False),
    }
    own = cfg.get('model_wrapper_cfg') or {}
    options = {key: value for key, value in options.items() if key.split('.')[1] not in own}
    options['model_wrapper_cfg.device_ids'] = None
    norms = list(_find_sync_norms(cfg.get('model', {}), 'model'))
    if norms:
        print(f'Without a GPU, batch norms are not synchronised between processes: {norms}')
    return options | dict.fromkeys(norms, 'BN')


def _find_sync_norms(node: Any, path: str) -> Iterator[str]:
    """Yield the keys of a config with ``type='SyncBN'``."""
    if isinstance(node, dict):
        if node.get('type') == 'SyncBN':
            yield f'{path}.type'
        children: Any = node.items()
    else:
        children = enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, child in children:
        yield from _find_sync_norms(child, f'{path}.{key}')


def join_processes(cfg: Config) -> None:
    """Initialise the process group, which MMEngine does only for CUDA devices.

    Raises:
        ValueError: ``env_cfg.dist_cfg.timeout`` is not a number of seconds.
    """
    seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
    if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
        raise ValueError(
            f'env_cfg.dist_cfg.timeout is {seconds!r}; expected a number of seconds, more than 0'
        )
    torch.distributed.init_process_group(
        'gloo', timeout=None if seconds is None else timedelta(seconds=seconds)
    )


def check_launcher(launcher: str, environ: Mapping[str, str]) -> None:
    """Raise a ValueError if ``--launcher`` contradicts how processes were launched."""
    processes = int(environ.get('WORLD_SIZE', 1))
    if launcher == 'none' and processes > 1:
        raise ValueError(
            f'{processes} processes were launched (WORLD_SIZE), but without --launcher pytorch '
            'each would do all of the work and overwrite the results of the others; add it'
        )
    if launcher == 'pytorch' and 'WORLD_SIZE' not in environ:
        raise ValueError(
            '--launcher pytorch expects to be started by torchrun, which sets WORLD_SIZE: '
            'torchrun --nproc-per-node N … --launcher pytorch, or '
            'mim … --launcher pytorch --gpus N'
        )
