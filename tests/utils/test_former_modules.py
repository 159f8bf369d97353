"""Former names of modules and of public names, for one more release."""

import inspect
import pkgutil
import sys
import warnings
from importlib import import_module
from types import ModuleType

import pytest

import hrnet_plugin
from hrnet_plugin.utils.former_modules import MOVED, PACKAGE, STAYS


def import_again(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a module that other tests may have imported."""
    monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module(name)


@pytest.mark.parametrize('former', sorted(MOVED.keys() - STAYS))
def test_former_module_is_the_new_one(former: str, monkeypatch: pytest.MonkeyPatch) -> None:
    new = f'{PACKAGE}.{MOVED[former]}'
    with pytest.warns(DeprecationWarning, match=f'{PACKAGE}.{former} is now {new};'):
        module = import_again(f'{PACKAGE}.{former}', monkeypatch)
    assert module is import_module(new)
    assert module.__name__ == new


@pytest.mark.parametrize('name', STAYS)
def test_public_module_does_not_warn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        module = import_again(f'{PACKAGE}.{name}', monkeypatch)
    assert module is import_module(f'{PACKAGE}.{MOVED[name]}')


def former_public_names() -> list[tuple[str, str, str]]:
    """List package, former name and new name of what lazy packages keep an alias for."""
    # Without the prefix, packages of other projects that are called `models` would be walked, too.
    walked = pkgutil.walk_packages(hrnet_plugin.__path__, f'{PACKAGE}.')
    packages = [info.name for info in walked if info.ispkg]
    names = []
    for package in packages:
        module = import_module(package)
        find = vars(module).get('__getattr__')
        former = inspect.getclosurevars(find).nonlocals.get('former', {}) if find else {}
        names += [(module.__name__, name, new) for name, new in former.items()]
    return names


@pytest.mark.parametrize(('package', 'name', 'new'), former_public_names())
def test_former_public_name_is_the_new_one(package: str, name: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f'{package}.{name} is now {new};'):
        value = getattr(import_module(package), name)
    module, _, attribute = new.rpartition('.')
    assert value is getattr(import_module(module), attribute)
    assert name not in import_module(package).__all__


def test_some_public_names_have_moved() -> None:
    """Otherwise the test above would have no cases."""
    assert ('hrnet_plugin.functional', 'window_merge') in [
        row[:2] for row in former_public_names()
    ]
