"""Freed memory is reused, which page faults show."""

import subprocess
import sys

import pytest

from hrnet_plugin.utils import allocator

FAULTS = """
import resource, torch
from hrnet_plugin.utils.allocator import disable_malloc_trim

def page_faults():
    for _ in range(4):
        torch.ones(2**24).add(1)  # as much as is held at once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(2**24).add(1)  # 64 MB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(page_faults(), disable_malloc_trim(), page_faults())
"""


def test_freed_memory_is_used_again() -> None:
    """Eight times two blocks of 64 MB, in pages of 4 kB, or with huge pages of 2 MB."""
    command = [sys.executable, '-W', 'ignore', '-c', FAULTS]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    by_default, is_disabled, without_trim = output.split()
    assert is_disabled == 'True'
    assert int(without_trim) < 0.5 * int(by_default)


def test_former_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, 'disable_malloc_trim', lambda: True)
    with pytest.warns(DeprecationWarning, match='keep_freed_memory is now disable_malloc_trim'):
        assert allocator.keep_freed_memory()
