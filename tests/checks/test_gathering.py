"""Stock metrics in several processes: whether they can gather their results is said before."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.evaluator import BaseMetric, DumpResults

from hrnet_plugin.checks import gathering
from hrnet_plugin.evaluation import OKSMetric


@pytest.fixture
def two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let this process be the first of two; the other sees files below ``shared`` only."""
    (tmp_path / 'shared').mkdir()
    (tmp_path / 'own').mkdir()
    monkeypatch.setattr(gathering, 'get_world_size', lambda: 2)
    sent: list[Path] = []

    def broadcast(names: list[str]) -> None:
        sent[:] = [p for p in tmp_path.glob('*/*') if p.name == names[0]]
        assert len(sent) == 1

    def gather(seen: bool) -> list[bool]:
        return [seen, sent[0].parent.name == 'shared']

    monkeypatch.setattr(gathering, 'broadcast_object_list', broadcast)
    monkeypatch.setattr(gathering, 'all_gather_object', gather)


def metric(collect_device: str = 'cpu', folder: Path | None = None) -> BaseMetric:
    return DumpResults('results.pkl', collect_device, str(folder) if folder else None)


def test_folders_of_one_node(
    two_nodes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / 'own')
    (problem,) = gathering.unshared_folders([metric(), metric(folder=tmp_path / 'shared')])
    assert f'DumpResults gathers the results of all processes through files in {Path.cwd()}' in (
        problem
    )
    assert gathering.unshared_folders([metric(folder=tmp_path / 'own')])
    assert list(tmp_path.glob('*/*')) == []


def test_what_needs_no_shared_folder(
    two_nodes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / 'own')
    assert gathering.unshared_folders([OKSMetric(), metric('gpu')]) == []
    monkeypatch.setattr(gathering, 'get_world_size', lambda: 1)
    assert gathering.unshared_folders([metric()]) == []
    monkeypatch.setattr(gathering, 'get_world_size', lambda: 2)
    monkeypatch.chdir(tmp_path / 'shared')
    assert gathering.unshared_folders([metric()]) == []
