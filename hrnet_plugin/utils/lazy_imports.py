"""Imports that wait until they are needed, so that importing a package costs next to nothing."""

import ast
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from ..requirements import explained_import_errors


def lazy_names(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Import the public names of a package when they are first used (PEP 562).

    The names stand in ``__init__.pyi`` beside ``__init__.py``, where editors and type checkers
    look: ``from .module import Name as Name``, or ``from . import module as module``.

    Args:
        package: ``__name__`` of the package.
        file: ``__file__`` of the package.

    Returns:
        ``__getattr__``, ``__dir__`` and ``__all__`` of the package.

    Example:
        ``__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)``
    """
    modules: dict[str, str | None] = {}  # name -> the module that holds it; None: it is one
    for node in ast.parse(Path(file).with_suffix('.pyi').read_text(encoding='utf-8')).body:
        if isinstance(node, ast.ImportFrom):
            modules.update((alias.asname or alias.name, node.module) for alias in node.names)
    names = sorted(modules)

    def __getattr__(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        with explained_import_errors(f'{package}.{name}'):
            module = import_module(f'{package}.{modules[name] or name}')
        value = getattr(module, name) if modules[name] else module
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return __getattr__, __dir__, names


def when_imported(name: str, action: Callable[[], object]) -> None:
    """Do something as soon as a module is imported: now, if it already is.

    Args:
        name: Full name of the module.
        action: Function without arguments; it may run more than once.
    """
    if name in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watcher(name, action))


class _Watcher(MetaPathFinder):
    """Lets Python's own finders find one module, and acts after it was executed.

    It stays until then: other code may look for the module without importing it.
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
