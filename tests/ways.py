"""The ways in which heatmaps are drawn and read on a CPU; conftest.py has a fixture of them."""

import pytest

from hrnet_plugin.functional import heatmap_cpu

LIBRARY, ON_HOST = heatmap_cpu.LIBRARY, heatmap_cpu.on_host
WAYS = ('compiled', 'torch', 'device')


def choose(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do it by compiled code, by torch, or as on a device, whose values cannot be looked at."""
    assert LIBRARY is not None, 'heatmap_cpu.c has not been compiled: `make install` does that'
    monkeypatch.setattr(heatmap_cpu, 'LIBRARY', LIBRARY if way == 'compiled' else None)
    monkeypatch.setattr(
        heatmap_cpu, 'on_host', ON_HOST if way != 'device' else lambda tensor: False
    )
