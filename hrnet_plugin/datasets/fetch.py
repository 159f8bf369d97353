"""Fetch the samples of a data loader reproducibly, with errors that name them."""

import random
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info

FETCHES: 'WeakSet[SampleFetch]' = WeakSet()
NOTHING = -1  # in place of a sample's index


def seed_from(*numbers: int) -> None:
    """Seed Python's, NumPy's and torch's random numbers.

    Args:
        numbers: Any integers; the seeds follow from all of them and their order.
    """
    sequence = np.random.SeedSequence([number % 2**64 for number in numbers])
    python, numpy, torch_seed = sequence.generate_state(3, np.uint64).tolist()
    random.seed(python)
    np.random.seed(numpy % 2**32)
    torch.manual_seed(torch_seed)


class SampleFetch:
    """Get the samples of a batch from a dataset.

    The random numbers of a batch follow from the seed, the epoch and the indices of its samples
    alone, whichever worker fetches it and whatever was fetched before. An error names the sample.

    Where a dataset has the attribute ``__getitems__``, torch's loaders call it with the indices
    of a batch; `fetch_of` puts an instance there.

    Args:
        dataset: The dataset.
        num_workers: How many workers the loader has.
    """

    def __init__(self, dataset: Any, num_workers: int) -> None:
        self.dataset = dataset
        # Shared with the workers, which may outlive an epoch
        self.seed_and_epoch = torch.zeros(2, dtype=torch.int64).share_memory_()
        self.loading = torch.full((max(num_workers, 1),), NOTHING).share_memory_()
        FETCHES.add(self)

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """Let the random numbers of batches follow from a seed and an epoch."""
        self.seed_and_epoch.copy_(torch.tensor([seed, epoch]))

    def __call__(self, indices: list[int]) -> list[Any]:
        """Return the samples of a batch.

        Raises:
            RuntimeError: If the dataset or its pipeline fails; the message names the sample.
        """
        seed_from(*self.seed_and_epoch.tolist(), *indices)
        return [self._get(index) for index in indices]

    def _get(self, index: int) -> Any:
        worker = get_worker_info()
        slot = worker.id if worker else 0
        self.loading[slot] = index
        try:
            return self.dataset[index]
        except Exception as error:  # of a dataset or pipeline, which may be the user's own
            raise RuntimeError(
                f'loading {describe(self.dataset, index)} failed: {type(error).__name__}: {error}'
            ) from error
        finally:
            self.loading[slot] = NOTHING

    def in_progress(self) -> list[str]:
        """Describe the samples that workers are loading, or were when they died."""
        return [describe(self.dataset, i) for i in self.loading.tolist() if i != NOTHING]


def fetch_of(loader: DataLoader) -> SampleFetch:
    """Return what a loader fetches its samples with; install it, if it has none yet."""
    dataset: Any = loader.dataset
    fetch = getattr(dataset, '__getitems__', None)
    if not isinstance(fetch, SampleFetch):
        fetch = dataset.__getitems__ = SampleFetch(dataset, loader.num_workers)
    return fetch


def describe(dataset: Any, index: int) -> str:
    """Name a sample by its index, its image and its ids, as far as the dataset knows."""
    try:
        info = dataset.get_data_info(index)
    except Exception:  # any dataset
        info = {}
    known = [f'{key}={info[key]!r}' for key in ('img_path', 'img_id', 'id') if key in info]
    return f'sample {index} of {type(dataset).__name__}' + (
        f' ({", ".join(known)})' if known else ''
    )
