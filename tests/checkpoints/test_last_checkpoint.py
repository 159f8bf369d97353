"""The checkpoint that a run is resumed from."""

import logging
from pathlib import Path

import pytest
import torch

from hrnet_plugin.checkpoints import last_checkpoint
from hrnet_plugin.checkpoints.last_checkpoint import (
    POINTER,
    check_agreement,
    find_corruption,
    named_checkpoint,
    repair_last_checkpoint,
)


def save(folder: Path, *epochs: int) -> list[Path]:
    paths = [folder / f'epoch_{epoch}.pth' for epoch in epochs]
    for path in paths:
        torch.save(dict(weight=torch.zeros(1000)), path)
    return paths


def repaired(folder: Path, pointer: object = None) -> str | None:
    """Return the content of ``last_checkpoint`` after its repair; before, it is ``pointer``."""
    file = folder / POINTER
    if pointer is not None:
        file.write_text(str(pointer))
    repair_last_checkpoint(folder, folder, 'epoch_{}.pth', logging.warning)
    return file.read_text() if file.exists() else None


class TestCorruption:
    def test_intact(self, tmp_path: Path) -> None:
        (path,) = save(tmp_path, 1)
        assert find_corruption(path) is None

    @pytest.mark.parametrize('share', [0, 0.5, 0.99])
    def test_cut_short(self, tmp_path: Path, share: float) -> None:
        (path,) = save(tmp_path, 1)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        assert f'cut short, with {path.stat().st_size:,} bytes' in str(find_corruption(path))

    def test_changed(self, tmp_path: Path) -> None:
        (path,) = save(tmp_path, 1)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert 'checksum' in str(find_corruption(path))

    def test_missing(self, tmp_path: Path) -> None:
        assert find_corruption(tmp_path / 'epoch_1.pth') == 'it is missing'


class TestRepair:
    def test_nothing_to_resume_from(self, tmp_path: Path) -> None:
        assert repaired(tmp_path) is None

    def test_named_one(self, tmp_path: Path) -> None:
        save(tmp_path, 9, 10, 11)
        assert repaired(tmp_path, tmp_path / 'epoch_10.pth') == str(tmp_path / 'epoch_10.pth')

    def test_none_later_than_the_named_one(self, tmp_path: Path) -> None:
        """Later ones are of another run."""
        *_, named, _ = save(tmp_path, 8, 9, 10, 200)
        named.write_bytes(b'PK')
        assert repaired(tmp_path, named) == str(tmp_path / 'epoch_9.pth')

    @pytest.mark.parametrize('pointer', [None, '', '\n'])
    def test_pointer_is_missing(self, tmp_path: Path, pointer: str | None) -> None:
        save(tmp_path, 9, 10)
        assert repaired(tmp_path, pointer) == str(tmp_path / 'epoch_10.pth')

    def test_folder_was_moved(self, tmp_path: Path) -> None:
        save(tmp_path, 9, 10, 11)
        assert repaired(tmp_path, '/elsewhere/epoch_10.pth') == str(tmp_path / 'epoch_10.pth')

    def test_custom_name(self, tmp_path: Path) -> None:
        """An intact checkpoint whose name does not match the template."""
        (path,) = save(tmp_path, 1)
        named = path.rename(tmp_path / 'mine.pth')
        assert repaired(tmp_path, named) == str(named)

    def test_all_are_corrupt(self, tmp_path: Path) -> None:
        for path in save(tmp_path, 1, 2):
            path.write_bytes(b'')
        with pytest.raises(ValueError, match=r'(?s)epoch_2.pth: .*epoch_1.pth: .*start over'):
            repaired(tmp_path, tmp_path / 'epoch_2.pth')


class TestAgreement:
    """Of processes on nodes that may have other disks."""

    @staticmethod
    def check(monkeypatch: pytest.MonkeyPatch, *paths: Path | None) -> None:
        """Let each process find a path, and the first one compare them."""
        sent: list[tuple[str, str]] = []
        for rank, path in enumerate(paths):
            monkeypatch.setattr(last_checkpoint, 'get_rank', lambda rank=rank: rank)
            monkeypatch.setattr(
                last_checkpoint, 'all_gather_object', lambda mine: [sent.append(mine) or mine]
            )
            check_agreement(path)
        assert len(sent) == len(paths)
        monkeypatch.setattr(last_checkpoint, 'all_gather_object', lambda mine: sent)
        check_agreement(paths[0])

    def test_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (path,) = save(tmp_path, 1)
        copy = tmp_path / 'elsewhere' / path.name
        copy.parent.mkdir()
        copy.write_bytes(path.read_bytes())
        self.check(monkeypatch, path, path, copy)
        self.check(monkeypatch, None, None)

    def test_none_on_the_second_node(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (path,) = save(tmp_path, 1)
        message = r'epoch_1.pth, checksum \w{8} \(rank 0 on .*\); none \(rank 1 on .* and 1 more\)'
        with pytest.raises(ValueError, match=message):
            self.check(monkeypatch, path, None, None)

    def test_other_weights_of_one_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (path,) = save(tmp_path, 1)
        other = tmp_path / 'elsewhere' / path.name
        other.parent.mkdir()
        torch.save(dict(weight=torch.ones(1000)), other)
        assert other.stat().st_size == path.stat().st_size
        with pytest.raises(ValueError, match='do not find the same checkpoint'):
            self.check(monkeypatch, path, other)

    def test_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (path,) = save(tmp_path, 1)
        with pytest.raises(ValueError, match=r'epoch_1.pth, missing \(rank 1'):
            self.check(monkeypatch, path, tmp_path / 'elsewhere' / path.name)


def test_named_checkpoint(tmp_path: Path) -> None:
    assert named_checkpoint(tmp_path) is None
    (tmp_path / POINTER).write_text('run/epoch_3.pth\n')
    assert named_checkpoint(tmp_path) == Path('run/epoch_3.pth')
