"""Samples are fetched reproducibly; an error names its sample."""

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


class RandomNumbers(Dataset):
    """A dataset whose samples are numbers of the three random generators."""

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
    loader = DataLoader(
        RandomNumbers(), batch_size=2, num_workers=workers, persistent_workers=persistent
    )
    reference = DataLoader(RandomNumbers(), batch_size=2)
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
    """A transform that fails."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        raise KeyError('no_such_key')


@pytest.fixture(scope='module')
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('people')
    write_people(folder)
    return folder


def dataset_of(people: Path, *first: dict[str, Any]) -> Any:
    cfg = config(people, people / 'run').train_dataloader.dataset
    cfg.pipeline = [*first, *cfg.pipeline]
    return DATASETS.build(cfg)


def test_transform_that_fails(people: Path) -> None:
    dataset = dataset_of(people, dict(type='Fails'))
    path = dataset.get_data_info(0)['img_path']
    expected = rf"(?s)sample 0 of CocoDataset \(img_path='{path}', img_id=\d+, .* KeyError"
    loader = DataLoader(dataset, collate_fn=list)
    fetch = fetch_of(loader)
    with pytest.raises(RuntimeError, match=expected):
        list(loader)
    assert fetch.loading.tolist() == [NOTHING]


class Failing(RandomNumbers):
    """A dataset that knows its images, but cannot read them."""

    def get_data_info(self, index: int) -> dict[str, Any]:
        return dict(img_path=f'{index}.jpg')

    def __getitem__(self, index: int) -> tuple[float, ...]:
        raise KeyError('no_such_key')


def test_worker_that_fails() -> None:
    loader = DataLoader(Failing(), num_workers=1)
    fetch_of(loader)
    batches = iter(loader)
    with pytest.raises(
        RuntimeError, match=r"sample 0 of Failing \(img_path='0\.jpg'\) failed: Key"
    ):
        next(batches)
    batches._shutdown_workers()  # else a later garbage collection waits five seconds for it


@pytest.mark.parametrize('damage', ['missing', 'no image'])
def test_image_that_cannot_be_read(people: Path, damage: str) -> None:
    dataset = dataset_of(people)
    path = Path(dataset.get_data_info(0)['img_path'])
    data = path.read_bytes()
    path.write_bytes(b'not an image')
    if damage == 'missing':
        path.unlink()
    try:
        with pytest.raises(RuntimeError, match=f"sample 0 of CocoDataset .img_path='{path}'"):
            fetch_of(DataLoader(dataset))([0])
    finally:
        path.write_bytes(data)
