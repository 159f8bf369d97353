"""Lazy imports, so that importing a package costs next to nothing."""

import ast
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from ..environment.requirements import explained_import_errors


def lazy_names(
    package: str, file: str, former: Mapping[str, str] = MappingProxyType({})
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Import the public names of a package when they are first used (PEP 562).

    The names are those of ``__init__.pyi`` beside ``__init__.py``, which editors and type
    checkers read: ``from .module import Name as Name``, or ``from . import module as module``.

    Args:
        package: ``__name__`` of the package.
        file: ``__file__`` of the package.
        former: Names in the last release, which warn, and the full names of their successors.

    Returns:
        ``__getattr__``, ``__dir__`` and ``__all__`` of the package.

    Example:
        ``__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)``
    """
    origins: dict[str, tuple[str, str]] = {}  # name -> the module that it is imported from
    for node in ast.parse(Path(file).with_suffix('.pyi').read_text(encoding='utf-8')).body:
        if isinstance(node, ast.ImportFrom):
            module = '.' * node.level + (node.module or '')
            origins.update(
                (alias.asname or alias.name, (module, alias.name)) for alias in node.names
            )
    names = sorted(origins)

    def __getattr__(name: str) -> Any:
        if name in former:
            new = former[name]
            warnings.warn(
                f'{package}.{name} is now {new}; the former name goes with the next release',
                DeprecationWarning,
                stacklevel=2,
            )
            module, _, attribute = new.rpartition('.')
            return getattr(import_module(module), attribute)
        if name not in origins:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        origin, attribute = origins[name]
        with explained_import_errors(f'{package}.{name}'):
            if origin == '.':
                value = import_module(f'.{attribute}', package)
            else:
                value = getattr(import_module(origin, package), attribute)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return __getattr__, __dir__, names


def when_imported(name: str, action: Callable[[], object]) -> None:
    """Call a function as soon as a module is imported, or now if it already is.

    Args:
        name: Full name of the module.
        action: Function without arguments, which may run more than once.
    """
    if name in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watcher(name, action))


class _Watcher(MetaPathFinder):
    """Call a function after one module, which Python's other finders find, was executed.

    It stays until then, as other code may find the module without importing it.
    """

    def __init__(self, name: str, action: Callable[[], object]) -> None:
        self.name = name
        self.action = action
        self._thread = threading.local()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != self.name or getattr(self._thread, 'is_searching', False):
            return None
        self._thread.is_searching = True
        try:
            spec = find_spec(fullname)
        finally:
            self._thread.is_searching = False
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            self.action()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
