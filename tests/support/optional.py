"""Packages that `make TASKS=pose` leaves out, and the tests that need one of them."""

from importlib.util import find_spec

import pytest

INSTALL = '`make TASKS=all` installs it'


def is_installed(package: str) -> bool:
    """Return whether a package can be found; one that does not import is to fail its tests."""
    return find_spec(package) is not None


def needs(*packages: str) -> pytest.MarkDecorator:
    """Return the mark of a test that is skipped where one of these packages is missing."""
    missing = [package for package in packages if not is_installed(package)]
    return pytest.mark.skipif(
        bool(missing), reason=f'{" and ".join(missing)} is not installed: {INSTALL}'
    )


def skip_without(package: str) -> None:
    """Skip the test that calls this where a package is missing."""
    if not is_installed(package):
        pytest.skip(f'{package} is not installed: {INSTALL}')
