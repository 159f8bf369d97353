"""Configs and checkpoints for inference, checked before anything runs."""

import sys
from collections.abc import Iterator, Mapping, Sequence
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
from ...utils.model_index import named_models

CHECKPOINTS = ('.ckpt', '.pt', '.pth')
ModelConfig: TypeAlias = str | Path | Config | ConfigDict | Mapping[str, Any]


def read_model_config(
    option: str, model: ModelConfig, scopes: Sequence[str]
) -> tuple[Config, str | None]:
    """Read a config, given itself, as a file or as a name of the metafiles.

    Args:
        option: name of the argument, for errors.
        model: config, file or name.
        scopes: packages whose metafiles may know the name.

    Returns:
        The config, and the weights that the metafile names, if there are any.

    Raises:
        OSError: no such file.
        ValueError: no such name, or something else than a config.
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
        with config_errors(option, model):
            return Config.fromfile(path), None
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f'{option}={str(model)!r}: there is no such config file')
    models = {name: found for scope in scopes for name, found in named_models(scope).items()}
    if str(model).lower() not in models:
        close = get_close_matches(str(model).lower(), models, n=3, cutoff=0.5)
        hint = f'; did you mean {" or ".join(map(repr, close))}?' if close else ';'
        raise ValueError(
            f'unknown {option} {str(model)!r}{hint} Expected a config file, or one of the '
            f'{len(models)} names in the metafiles of {" and ".join(scopes)}'
        )
    config, weights = models[str(model).lower()]
    return Config.fromfile(config), weights


@contextmanager
def config_errors(option: str, model: ModelConfig) -> Iterator[None]:
    """Turn any error of a config, which is code, into a ValueError that names it on one line."""
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
    """Load a checkpoint into a model that it fits to the last tensor.

    Args:
        option: name of the argument, for errors.
        model: what to load it into.
        weights: file or address.

    Returns:
        What the checkpoint says about itself, its ``meta``.

    Raises:
        OSError: it cannot be read or fetched.
        ValueError: it is damaged, or of another model.
    """
    where = f'{option}={str(weights)!r}'
    checkpoint = fetch(where, weights)
    state = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, Mapping) else {}
    if not isinstance(state, Mapping) or not state or not all(map(_is_weight, state.items())):
        raise ValueError(f'{where} holds no state dict')
    if all(name.startswith('module.') for name in state):
        state = {name.removeprefix('module.'): value for name, value in state.items()}
    ours = model.state_dict()
    if not {part(name) for name in ours} & {part(name) for name in state} or foreign(ours, state):
        raise ValueError(
            f'{where} is of another kind of model: it has {parts(state)}, expected {parts(ours)}. '
            'hrnet-plugin convert makes checkpoints of the official code fit'
        )
    try:
        # Not strict: the models themselves rename what older versions called otherwise.
        missing, unexpected = model.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise ValueError(f'{where} does not fit the config: {" ".join(lines[-3:])}') from error
    missing = [name for name in missing if not name.endswith('.num_batches_tracked')]
    spare = set(last_rows(state))  # of streams that a pose model does not read
    unexpected = [name for name in unexpected if name not in spare]
    for names, what in ((missing, 'are missing'), (unexpected, 'are not of the model')):
        if names:
            listed = ', '.join(names[:3]) + (', …' if len(names) > 3 else '')
            raise ValueError(
                f'{where} does not fit the config: {len(names)} tensors {what} ({listed}). Give '
                'the config that it was trained with; hrnet-plugin convert makes checkpoints of '
                'the official code fit'
            )
    meta = checkpoint.get('meta')
    return dict(meta) if isinstance(meta, Mapping) else {}


def _is_weight(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def fetch(where: str, weights: str | Path) -> Any:
    """Load a checkpoint from a file or an address, safely.

    MMEngine's loader is not used: that of onedl-mmengine loads what the safe loader refuses with
    the unsafe one.
    """
    if '://' not in str(weights):
        if not Path(weights).is_file():
            raise FileNotFoundError(f'{where}: there is no such file')
        return read_checkpoint(weights)
    with ExitStack() as stack:
        try:
            path = download(str(weights), stack)
        except Exception as error:  # of whatever fetches it
            raise OSError(
                f'{where} cannot be fetched ({error}): download it by other means, and give the '
                'file'
            ) from error
        return read_checkpoint(path)


def download(address: str, stack: ExitStack) -> Path:
    """Fetch a checkpoint; from the web, into the folder where torch and MMEngine keep theirs.

    Args:
        address: Of the web, or of any file backend of MMEngine.
        stack: Removes, when it is closed, a file that is not kept.

    Returns:
        The file.
    """
    if not address.startswith(('http://', 'https://')):
        return Path(stack.enter_context(fileio.get_local_path(address)))
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(address).path).name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f'downloading {address} to {path}', file=sys.stderr)
        torch.hub.download_url_to_file(address, str(path), progress=sys.stderr.isatty())
    return path


def part(name: str) -> str:
    return name.partition('.')[0]


def parts(names: Any) -> str:
    """The largest parts of a model: ``backbone, head``."""
    return ', '.join(sorted({part(name) for name in names}))


def foreign(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    """Whether weights are of a detector, and the model is of poses, or the other way round."""
    return ('bbox_head' in map(part, theirs)) != ('bbox_head' in map(part, ours))
