"""Read and check the configs and checkpoints of models for inference."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlparse

import torch
from mmengine import fileio
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from torch import Tensor

from ...checkpoints.files import read_checkpoint
from ...checkpoints.recognise import last_rows
from ...environment.requirements import explained_import_errors
from ...utils.model_index import named_models

CONFIG = 'config.py'  # which `hrnet-plugin train` writes
CHECKPOINTS = ('.ckpt', '.pt', '.pth')
ModelConfig: TypeAlias = str | Path | Config | ConfigDict | Mapping[str, Any]


def read_model_config(
    option: str, model: ModelConfig, scopes: Sequence[str]
) -> tuple[Config, str | None]:
    """Read a config from a file, by its name in a metafile, or as it is given.

    Args:
        option: Name of the argument, for errors.
        model: Config, path of one, name in a metafile, or work folder of a training.
        scopes: Packages whose metafiles are searched for the name.

    Returns:
        The config, and the path or URL of the weights in the metafile, or the best checkpoint of
        the work folder, if any.

    Raises:
        ImportError: A package that the config builds on is not installed.
        OSError: The file does not exist, or the folder is not of a training.
        ValueError: The name is unknown, or the file is not a config.
    """
    if isinstance(model, Mapping | Config):
        content = model._cfg_dict if isinstance(model, Config) else model
        return Config(deepcopy(ConfigDict(content))), None
    path = Path(model)
    if path.suffix in CHECKPOINTS:
        raise ValueError(
            f'{option}={str(model)!r} is a checkpoint; expected a config, the file ending in .py '
            'that it was trained with'
        )
    if path.is_file():
        with config_errors(option, model), explained_import_errors(f'{option}={str(model)!r}'):
            return Config.fromfile(path), None
    if path.is_dir():
        config_path, checkpoint = work_folder_files(option, path)
        with config_errors(option, model), explained_import_errors(f'{option}={str(model)!r}'):
            return Config.fromfile(config_path), str(checkpoint)
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f'{option}={str(model)!r}: there is no such config file')
    models = {name: files for scope in scopes for name, files in named_models(scope).items()}
    if str(model).lower() not in models:
        close = get_close_matches(str(model).lower(), models, n=3, cutoff=0.5)
        hint = f'; did you mean {" or ".join(map(repr, close))}?' if close else ';'
        raise ValueError(
            f'unknown {option} {str(model)!r}{hint} Expected a config file, or one of the '
            f'{len(models)} names in the metafiles of {" and ".join(scopes)}'
        )
    config, weights = models[str(model).lower()]
    with explained_import_errors(f'{option}={str(model)!r}'):
        return Config.fromfile(config), weights


def work_folder_files(option: str, folder: Path) -> tuple[Path, Path]:
    """Return the config and the best checkpoint in the work folder of a training.

    Args:
        option: Name of the argument, for errors.
        folder: Folder with ``config.py``, or only one other config, and checkpoints.

    Raises:
        FileNotFoundError: It has no config, or no checkpoint.
        ValueError: It has several configs.
    """
    where = f'{option}={str(folder)!r}'
    configs = [folder / CONFIG] if (folder / CONFIG).is_file() else sorted(folder.glob('*.py'))
    if not configs:
        raise FileNotFoundError(
            f'{where} is a folder without a config; expected {CONFIG} and a checkpoint in it, as '
            '`hrnet-plugin train` leaves them in its work folder, or a config file'
        )
    if len(configs) > 1:
        raise ValueError(
            f'{where} has several configs, {", ".join(c.name for c in configs)}: give one of '
            'them, and its weights'
        )
    checkpoint = best_checkpoint(folder)
    if checkpoint is None:
        raise FileNotFoundError(
            f'{where} has {configs[0].name}, but no checkpoint yet (best_*.pth, epoch_*.pth): '
            'train until one is written, or give a config file and weights'
        )
    return configs[0], checkpoint


def best_checkpoint(folder: Path) -> Path | None:
    """Return the best checkpoint in a work folder, without one the last; None if there is none."""
    for pattern in ('best_*.pth', 'epoch_*.pth', 'iter_*.pth'):
        found = [path for path in folder.glob(pattern) if path.stem.rpartition('_')[2].isdecimal()]
        if found:
            return max(found, key=lambda path: int(path.stem.rpartition('_')[2]))
    return None


@contextmanager
def config_errors(option: str, model: ModelConfig) -> Iterator[None]:
    """Turn any error of a config, which is code, into a ValueError of one line that names it."""
    try:
        yield
    except (ImportError, OSError, MemoryError):
        raise
    except Exception as error:
        name = repr(str(model)) if isinstance(model, str | Path) else 'the given config'
        reason = ' '.join(str(error.args[0] if error.args else error).split())
        kind = '' if isinstance(error, ValueError) else f'{type(error).__name__}: '
        raise ValueError(f'{option}={name} cannot be used: {kind}{reason}') from error


def load_weights(option: str, model: BaseModel, weights: str | Path) -> dict[str, Any]:
    """Load a checkpoint into a model, all of whose tensors it must have.

    Args:
        option: Name of the argument, for errors.
        model: Model to load it into.
        weights: Path or URL of the checkpoint.

    Returns:
        ``meta`` of the checkpoint.

    Raises:
        OSError: The checkpoint cannot be read or fetched.
        ValueError: It is damaged, or of another model.
    """
    where = f'{option}={str(weights)!r}'
    checkpoint = fetch(where, weights)
    state = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, Mapping) else {}
    if not isinstance(state, Mapping) or not state or not all(map(_is_weight, state.items())):
        raise ValueError(f'{where} holds no state dict')
    if all(name.startswith('module.') for name in state):
        state = {name.removeprefix('module.'): value for name, value in state.items()}
    expected = model.state_dict()
    if is_other_task(expected, state):
        raise ValueError(
            f'{where} is of another kind of model: it has {parts(state)}, expected '
            f'{parts(expected)}. '
            'hrnet-plugin convert makes checkpoints of the official code fit'
        )
    try:
        # Not strict: hooks of the models rename tensors of older versions.
        missing, unexpected = model.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise ValueError(f'{where} does not fit the config: {" ".join(lines[-3:])}') from error
    missing = [name for name in missing if not name.endswith('.num_batches_tracked')]
    ignorable = set(last_rows(state))  # of streams that a pose model does not read
    unexpected = [name for name in unexpected if name not in ignorable]
    for names, problem in ((missing, 'are missing'), (unexpected, 'are not of the model')):
        if names:
            listed = ', '.join(names[:3]) + (', …' if len(names) > 3 else '')
            raise ValueError(
                f'{where} does not fit the config: {len(names)} tensors {problem} ({listed}). '
                'Give the config that it was trained with; hrnet-plugin convert makes checkpoints '
                'of the official code fit'
            )
    meta = checkpoint.get('meta')
    return dict(meta) if isinstance(meta, Mapping) else {}


def _is_weight(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def fetch(where: str, weights: str | Path) -> Any:
    """Load a checkpoint from a file or a URL, with torch's safe loader.

    MMEngine's loader is not used: onedl-mmengine's falls back to the unsafe one.

    Args:
        where: Option and value, for errors.
        weights: Path or URL.

    Raises:
        OSError: It cannot be read or fetched.
        ValueError: It is damaged, or the safe loader refuses it.
    """
    if '://' not in str(weights):
        if not Path(weights).is_file():
            raise FileNotFoundError(f'{where}: there is no such file')
        return read_checkpoint(weights)
    with ExitStack() as stack:
        try:
            path = download(str(weights), stack)
        except Exception as error:  # The backends that fetch raise many kinds.
            raise OSError(
                f'{where} cannot be fetched ({error}): download it by other means, and give the '
                'file'
            ) from error
        return read_checkpoint(path)


def download(url: str, stack: ExitStack) -> Path:
    """Download a checkpoint, into the cache of torch and MMEngine if it is from the web.

    Args:
        url: URL of the web or of any file backend of MMEngine.
        stack: Stack that removes a temporary file when it is closed.

    Returns:
        Path of the file.
    """
    if not url.startswith(('http://', 'https://')):
        return Path(stack.enter_context(fileio.get_local_path(url)))
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(url).path).name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f'downloading {url} to {path}', file=sys.stderr)
        torch.hub.download_url_to_file(url, str(path), progress=sys.stderr.isatty())
    return path


def part(name: str) -> str:
    """Return the module that a tensor is of: ``backbone`` of ``backbone.conv1.weight``."""
    return name.partition('.')[0]


def parts(names: Iterable[str]) -> str:
    """Return the modules of a state dict: ``backbone, head``."""
    return ', '.join(sorted({part(name) for name in names}))


def is_other_task(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> bool:
    """Return whether weights are of another task than a model.

    They share no module, or one of them is a detector and the other is not.
    """
    modules, given = {part(name) for name in expected}, {part(name) for name in state}
    return not modules & given or ('bbox_head' in modules) != ('bbox_head' in given)
