"""Launcher of OpenMMLab's command-line tools: checks before and explained errors after."""

import argparse
import os
import runpy
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any

import torch.distributed
from mmengine.config import Config, DictAction
from mmengine.device import get_device

from ..apis.training.distributed import check_launcher, cpu_options, join_processes
from ..checks.old_config import explain_old_config
from ..checks.other_task import TASK_PACKAGES
from ..environment.requirements import explained_import_errors
from ..utils.allocator import disable_malloc_trim
from .processes import end_with_launcher, explained_lost_peers, explained_worker_deaths

CONFIG_SUFFIXES = ('.py', '.yaml', '.yml', '.json')


@dataclass(frozen=True)
class ToolArguments:
    """Arguments of a stock tool, whose own parser cannot be imported.

    Attributes:
        config: Path of the config; None if there is no such file.
        launcher: Value of ``--launcher``.
        cfg_options: Changes to the config, of ``--cfg-options``.
    """

    config: str | None
    launcher: str
    cfg_options: dict[str, Any]

    @classmethod
    def parse(cls, arguments: list[str]) -> 'ToolArguments':
        """Read the arguments that matter here; the tool itself reads them all."""
        parser = argparse.ArgumentParser(add_help=False)
        parser.add_argument('--launcher', default='none')
        parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
        known = parser.parse_known_args(arguments)[0]
        files = (a for a in arguments if a.endswith(CONFIG_SUFFIXES) and Path(a).is_file())
        return cls(next(files, None), known.launcher, known.cfg_options)


def run_stock_tool(name: str) -> None:
    """Run ``train`` or ``test`` of a config's package with this program's arguments.

    First check the config and how processes were launched. Without a GPU, let several processes
    work together on the CPU, train in bfloat16 if ``--amp`` asks for it, and keep freed memory.
    What torchrun has launched ends with it.

    Args:
        name: Name of the tool.

    Raises:
        FileNotFoundError: The package was installed without its tools.
        ImportError: The package, one of a base, or a module of ``custom_imports`` does not import;
            with the original error.
        ValueError: The config is one of MMPose 0.x, or the launcher is not the one in use.
        RuntimeError: A worker of a data loader died, with the samples that were being loaded; or
            another process of the run ended.
    """
    arguments = ToolArguments.parse(sys.argv[1:])
    check_launcher(arguments.launcher, os.environ)
    end_with_launcher(os.environ)
    on_cpu = get_device() == 'cpu'
    path = None
    if arguments.config is not None:
        cfg = _read_config(arguments.config, arguments.cfg_options)
        path = tool_path(name, cfg, arguments.config)
        if arguments.launcher == 'pytorch' and on_cpu:
            sys.argv += ['--cfg-options', *cpu_options(cfg)]
            join_processes(cfg)
    if on_cpu:
        if name == 'train':
            sys.argv[1:] = replace_amp(sys.argv[1:])
        disable_malloc_trim()
    try:
        with explained_worker_deaths(), explained_lost_peers():
            runpy.run_path(str(path or tool_path(name)), run_name='__main__')
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def replace_amp(arguments: list[str]) -> list[str]:
    """Replace ``--amp``, whose wrapper needs a GPU, with the options of one that does not."""
    if '--amp' not in arguments:
        return arguments
    rest = [argument for argument in arguments if argument != '--amp']
    options = ['type=hrnet_plugin.AutocastOptimWrapper', 'precision=auto']
    return [*rest, '--cfg-options', *(f'optim_wrapper.{option}' for option in options)]


def tool_path(name: str, cfg: Config | None = None, what: str = 'the tool') -> Path:
    """Return the file of a tool of the package that a config is for.

    Args:
        name: Name of the tool.
        cfg: Config, whose ``default_scope`` says the package; MMPose, if it names no other.
        what: What needs the package, for errors.

    Raises:
        FileNotFoundError: The package was installed without its tools.
        ImportError: The package does not import; with the command that installs it.
    """
    scope = cfg.get('default_scope') if cfg is not None else None
    package = scope if scope in TASK_PACKAGES else 'mmpose'
    with explained_import_errors(what):
        module = import_module(package)
        if package in TASK_PACKAGES:  # MMEngine would only warn about what fails there
            import_module(f'{package}.models')
    path = Path(str(module.__file__)).parent / '.mim' / 'tools' / f'{name}.py'
    if not path.exists():
        raise FileNotFoundError(
            f'{path} is missing: install {package} from its wheel, which contains its tools'
        )
    return path


def _read_config(path: str, options: dict[str, Any]) -> Config:
    """Read a config with its custom imports.

    Raises:
        ImportError: A package of its bases is not installed, or a module of ``custom_imports``
            does not import.
        ValueError: The config is one of MMPose 0.x.
    """
    if explanation := explain_old_config(Path(path).read_text()):
        raise ValueError(f'{path}: {explanation}')
    with explained_import_errors(path):
        cfg = Config.fromfile(path, import_custom_modules=False)
    cfg.merge_from_dict(options)
    import_custom(cfg, path)
    return cfg


def import_custom(cfg: Config, path: str | Path) -> None:
    """Import the modules of a config's ``custom_imports``.

    Unlike MMEngine's, the error says why an import failed.

    Args:
        cfg: Config.
        path: Its file, for errors.

    Raises:
        ImportError: An import failed; with the original error and its place.
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
