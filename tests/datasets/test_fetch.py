"""How samples are fetched, and what is said of those that fail."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmpose.registry import DATASETS, TRANSFORMS
from support.tiny_training import config, write_people
from torch.utils.data import DataLoader, Dataset

from hrnet_plugin.datasets.fetch import NOTHING, fetch_of, seed_from


class Draws(Dataset):
    """A sample is what the three sources of random numbers give."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[float, ...]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))


def epoch(loader: DataLoader, seed: int, number: int) -> list[list[float]]:
    fetch_of(loader).begin_epoch(seed, number)
    return [torch.stack(batch).tolist() for batch in loader]


@pytest.mark.parametrize(
    ('workers', 'persistent'), [(0, False), (1, False), (1, True), (2, False), (2, True)]
)
def test_follow_from_seed_epoch_and_samples(workers: int, persistent: bool) -> None:
    loader = DataLoader(Draws(), batch_size=2, num_workers=workers, persistent_workers=persistent)
    reference = DataLoader(Draws(), batch_size=2)
    seed_from(99)
    for seed, number in [(0, 0), (0, 1), (7, 1), (0, 0)]:
        assert epoch(loader, seed, number) == epoch(reference, seed, number)
    batches = [b for s, n in [(0, 0), (0, 1), (7, 1)] for b in epoch(reference, s, n)]
    numbers = [number for batch in batches for source in batch for number in source]
    assert len(set(numbers)) == len(numbers) == 3 * 8 * 3


def test_seed_from_takes_any_integer() -> None:
    for numbers in [(-1, 0), (2**70,), (0,)]:
        seed_from(*numbers)
        first = torch.rand(())
        seed_from(*numbers)
        assert torch.rand(()) == first


@TRANSFORMS.register_module(force=True)
class Fails(BaseTransform):
    """A step that cannot bear the picture of one sample."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        raise KeyError('no_such_key')


@pytest.fixture(scope='module')
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('people')
    write_people(folder)
    return folder


def loader_of(people: Path, *first: dict[str, Any]) -> DataLoader:
    cfg = config(people, people / 'run').train_dataloader.dataset
    cfg.pipeline = [*first, *cfg.pipeline]
    loader = DataLoader(DATASETS.build(cfg), num_workers=1, collate_fn=list)
    fetch_of(loader)
    return loader


def test_step_that_fails(people: Path) -> None:
    loader = loader_of(people, dict(type='Fails'))
    path = loader.dataset.get_data_info(0)['img_path']
    with pytest.raises(
        RuntimeError,
        match=rf"(?s)sample 0 of CocoDataset \(img_path='{path}', img_id=\d+, .* KeyError",
    ):
        list(loader)


def test_nothing_is_in_progress_after_a_failure(people: Path) -> None:
    fetch = fetch_of(loader_of(people, dict(type='Fails')))
    with pytest.raises(RuntimeError):
        fetch([0])
    assert fetch.loading.tolist() == [NOTHING]


@pytest.mark.parametrize('damage', ['missing', 'no picture'])
def test_picture_that_cannot_be_read(people: Path, damage: str) -> None:
    loader = loader_of(people)
    path = Path(loader.dataset.get_data_info(0)['img_path'])
    data = path.read_bytes()
    path.write_bytes(b'not a picture')
    if damage == 'missing':
        path.unlink()
    try:
        with pytest.raises(RuntimeError, match=f"sample 0 of CocoDataset .img_path='{path}'"):
            list(loader)
    finally:
        path.write_bytes(data)
