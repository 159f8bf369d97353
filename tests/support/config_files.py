"""Configs: read fast, compared setting by setting, and the literals they add to their bases."""

import ast
import copy
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import mmengine.config.utils
import pytest
from mmengine.config import Config

from support.paths import ROOT

_file2dict = Config._file2dict
_load = functools.cache(mmengine.config.utils.load)

CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))
# The environment variables that configs read
ROOTS = (
    *('ADE20K_ROOT', 'CITYSCAPES_ROOT', 'COCO_ROOT', 'IMAGENET_ROOT'),
    *('LIP_ROOT', 'MPII_ROOT', 'PASCAL_CONTEXT_ROOT'),
)


def read_config(path: Path, roots: Mapping[str, Path] | None = None) -> Config:
    """Read a config with these environment variables, or none; each base is parsed once.

    MMEngine would parse all metafiles of a package for each of its files.
    """
    environment = tuple((roots or {}).items())
    with pytest.MonkeyPatch.context() as patch, mock.patch('mmengine.config.utils.load', _load):
        for name in ROOTS:
            patch.delenv(name, raising=False)
        for name, folder in environment:
            patch.setenv(name, str(folder))

        def read(filename: str, *_: Any, **__: Any) -> Any:
            return copy.deepcopy(_parse(str(filename), environment))

        patch.setattr(Config, '_file2dict', staticmethod(read))
        return Config.fromfile(path, import_custom_modules=False)


@functools.cache
def _parse(filename: str, environment: tuple[tuple[str, Path], ...]) -> Any:
    return _file2dict(filename)


def flat_settings(
    config: Config,
    names: tuple[str, ...],
    ours: Mapping[str, str],
    elsewhere: Mapping[str, tuple[str, ...]],
) -> dict[str, Any]:
    """Return a config's settings, ``a.b.0.c`` to value.

    Args:
        config: The config.
        names: The settings to read, of its first level.
        ours: Our name of each type that stock names otherwise.
        elsewhere: What to leave out, by the last part of the key above it.
    """
    flat: dict[str, Any] = {}

    def add(key: str, value: Any) -> None:
        if isinstance(value, dict):
            ignored = ('_scope_', *elsewhere.get(key.split('.')[-1], ()))
            items = [(k, v) for k, v in value.items() if k not in ignored]
        elif isinstance(value, (list, tuple)):
            items = list(enumerate(value))
        else:
            if isinstance(value, str):
                value = ours.get(value, value.replace('//', '/').removesuffix('/'))
            flat[key] = value
            return
        for k, v in items:
            add(f'{key}.{k}', v)

    for name in names:
        add(name, config.get(name))
    return flat


def base_files(path: Path) -> list[str]:
    """Return ``_base_`` of a config file, as it is written."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', None) == '_base_':
            bases = ast.literal_eval(node.value)
            return [bases] if isinstance(bases, str) else bases
    return []


def merged_bases(path: Path, folder: Path) -> dict[str, Any]:
    """Return what a config inherits; ``folder`` is for a file that inherits no more."""
    bases = [b if '::' in b else str(path.parent / b) for b in base_files(path)]
    file = folder / f'{path.parent.name}_{path.name}'
    file.write_text(f'_base_ = {bases}\n')
    return read_config(file).to_dict()


def literals(path: Path) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the literal settings of a config file, ``('a', 'b')`` for ``a = dict(b=…)``.

    What replaces its base is left out: dictionaries with ``_delete_`` and those in lists.
    """

    def walk(node: ast.expr, key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'dict':
            if not any(k.arg == '_delete_' for k in node.keywords) and not node.args:
                for keyword in node.keywords:
                    if keyword.arg:
                        yield from walk(keyword.value, (*key, keyword.arg))
            return
        try:
            yield key, ast.literal_eval(node)
        except ValueError:
            return

    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield from walk(node.value, (node.targets[0].id,))
