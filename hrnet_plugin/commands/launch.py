"""Stock MMPose's command-line tools, run with the plugin imported and mistakes explained."""

import argparse
import os
import re
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any

import mmpose
import torch.distributed
from mmengine.config import Config, DictAction
from mmengine.device import get_device

from ..checks.old_config import explain_old_config
from ..datasets.fetch import FETCHES
from ..utils.allocator import keep_freed_memory
from .processes import end_with_launcher, explained_lost_peers

CONFIG_SUFFIXES = ('.py', '.yaml', '.yml', '.json')


def run_stock_tool(name: str) -> None:
    """Run ``train`` or ``test`` of MMPose with this program's arguments.

    Before, it checks the config and how processes were launched; where there is no GPU, it lets
    several processes work together on the CPU, and each keep the memory that it frees. What
    torchrun has launched ends with it.

    Raises:
        FileNotFoundError: MMPose was installed without its tools.
        ImportError: a module of ``custom_imports`` does not import; with the original error.
        ValueError: the config is one of MMPose 0.x, or the launcher is not the one in use.
        RuntimeError: a worker died; with what it was loading. Or another process of the run did.
    """
    path = Path(mmpose.__file__).parent / '.mim' / 'tools' / f'{name}.py'
    if not path.exists():
        raise FileNotFoundError(
            f'{path} is missing: install mmpose 1.x from its wheel, which carries its tools'
        )
    launcher = _launcher(sys.argv[1:])
    _check_launcher(launcher, os.environ)
    end_with_launcher(os.environ)
    config = _config_file(sys.argv[1:])
    if config is not None:
        if explanation := explain_old_config(Path(config).read_text()):
            raise ValueError(f'{config}: {explanation}')
        cfg = Config.fromfile(config, import_custom_modules=False)
        cfg.merge_from_dict(_config_options(sys.argv[1:]))
        import_custom(cfg, config)
        if launcher == 'pytorch' and get_device() == 'cpu':
            sys.argv += ['--cfg-options', *cpu_options(cfg)]
            _join_processes(cfg)
    if get_device() == 'cpu':
        keep_freed_memory()
    try:
        with explained_deaths(), explained_lost_peers():
            runpy.run_path(str(path), run_name='__main__')
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def import_custom(cfg: Config, path: str | Path) -> None:
    """Import what a config's ``custom_imports`` names.

    MMEngine's own message says that an import failed, but not why.

    Raises:
        ImportError: one fails; with the original error and where it happened.
    """
    custom = cfg.get('custom_imports') or {}
    names = custom.get('imports') or []
    if custom.get('allow_failed_imports'):
        return
    for name in [names] if isinstance(names, str) else names:
        try:
            import_module(name)
        except ImportError as error:
            place = extract_tb(error.__traceback__)[-1]
            hint = ''
            if isinstance(error, ModuleNotFoundError) and error.name == name.split('.')[0]:
                hint = f'; install it, or put the folder that holds {error.name} on PYTHONPATH'
            elif not place.filename.startswith('<frozen'):
                hint = f' ({place.filename}, line {place.lineno})'
            raise ImportError(
                f'custom_imports of {path} names {name}, whose import failed: '
                f'{type(error).__name__}: {error}{hint}'
            ) from error


def cpu_options(cfg: Config) -> list[str]:
    """Changes that let a config run in several processes without a GPU, for ``--cfg-options``.

    DistributedDataParallel takes no device then, and synchronised norms know GPUs only.
    """
    options = {
        'model_wrapper_cfg.type': 'MMDistributedDataParallel',
        'model_wrapper_cfg.broadcast_buffers': False,
        'model_wrapper_cfg.find_unused_parameters': cfg.get('find_unused_parameters', False),
    }
    own = cfg.get('model_wrapper_cfg') or {}
    options = {key: value for key, value in options.items() if key.split('.')[1] not in own}
    options['model_wrapper_cfg.device_ids'] = None
    norms = list(_synchronised(cfg.get('model', {}), 'model'))
    if norms:
        print(f'Without a GPU, batch norms are not synchronised between processes: {norms}')
    return [f'{key}={value}' for key, value in options.items()] + [f'{n}=BN' for n in norms]


def _synchronised(node: Any, path: str) -> Iterator[str]:
    """Where a config says ``type='SyncBN'``."""
    if isinstance(node, dict):
        if node.get('type') == 'SyncBN':
            yield f'{path}.type'
        children: Any = node.items()
    else:
        children = enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, child in children:
        yield from _synchronised(child, f'{path}.{key}')


def _join_processes(cfg: Config) -> None:
    """Initialise the process group, which MMEngine would do on CUDA devices only.

    Raises:
        ValueError: ``env_cfg.dist_cfg.timeout`` is no number of seconds.
    """
    seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
    if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
        raise ValueError(
            f'env_cfg.dist_cfg.timeout is {seconds!r}; expected a number of seconds, more than 0'
        )
    torch.distributed.init_process_group(
        'gloo', timeout=None if seconds is None else timedelta(seconds=seconds)
    )


def _launcher(arguments: list[str]) -> str:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('--launcher', default='none')
    return parser.parse_known_args(arguments)[0].launcher


def _config_options(arguments: list[str]) -> dict[str, Any]:
    """Read ``--cfg-options`` as the tool itself does, which has them after us."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_known_args(arguments)[0].cfg_options


def _check_launcher(launcher: str, environ: Any) -> None:
    processes = int(environ.get('WORLD_SIZE', 1))
    if launcher == 'none' and processes > 1:
        raise ValueError(
            f'{processes} processes were launched (WORLD_SIZE), but without --launcher pytorch '
            'each would do all of the work, over the results of the others; add it'
        )
    if launcher == 'pytorch' and 'WORLD_SIZE' not in environ:
        raise ValueError(
            '--launcher pytorch expects to be started by torchrun, which sets WORLD_SIZE: '
            'torchrun --nproc-per-node N … --launcher pytorch, or '
            'mim … --launcher pytorch --gpus N'
        )


def _config_file(arguments: list[str]) -> str | None:
    """The config among the arguments of a tool, whose own parser is hidden in its code."""
    files = (a for a in arguments if a.endswith(CONFIG_SUFFIXES) and Path(a).is_file())
    return next(files, None)


@contextmanager
def explained_deaths() -> Iterator[None]:
    """Say what a data loader's worker was loading when it died."""
    try:
        yield
    except RuntimeError as error:
        if not re.match(r'DataLoader worker \(pid', str(error)):
            raise
        samples = [sample for fetch in FETCHES for sample in fetch.in_progress()]
        loading = f' while workers were loading {"; ".join(samples)}' if samples else ''
        raise RuntimeError(
            f'{str(error).strip()}{loading}. What kills a worker is mostly a lack of memory: try '
            'fewer of them (train_dataloader.num_workers) or smaller batches'
        ) from error
