"""Freed memory is kept, which page faults tell."""

import subprocess
import sys

FAULTS = """
import resource, torch
from hrnet_plugin.utils.allocator import keep_freed_memory
if {kept}:
    assert keep_freed_memory()
for _ in range(4):
    torch.ones(2**24).add(1)  # as much as is held at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(2**24).add(1)  # 64 MB each
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(kept: bool) -> int:
    command = [sys.executable, '-W', 'ignore', '-c', FAULTS.format(kept=kept)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_freed_memory_is_used_again() -> None:
    """Eight times two blocks of 64 MB, in pages of 4 kB, or with huge pages of 2 MB."""
    assert page_faults(kept=True) < 0.5 * page_faults(kept=False)
