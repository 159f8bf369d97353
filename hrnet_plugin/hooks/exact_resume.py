"""Resume a training so that it ends with the weights of an uninterrupted one."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from mmengine.dist import broadcast, get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import BatchSampler, DataLoader

from ..datasets.fetch import fetch_of, seed_from
from ..registry import HOOKS, strict_options

KEY = 'exact_resume'
EPOCH, ITERATION = 0, 1  # what a sequence of random numbers belongs to


@HOOKS.register_module()
@strict_options
class ExactResumeHook(Hook):
    """Derive all random numbers of a training from its seed and its progress.

    Those of the model follow from seed, rank and iteration; those of the pipeline from seed, epoch
    and the samples of the batch. A checkpoint therefore need save nothing but the progress, and a
    training resumes exactly with any number of workers, persistent or not; also in the middle of
    an epoch, without loading again what was trained on.

    Two things are not restored, with a warning: gradients that ``accumulative_counts`` was still
    adding up when the checkpoint was written (MMEngine warns), and the order of samples in an
    IterBasedTrainLoop whose ``randomness`` has no seed.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        super().__init__()
        self._done = 0  # batches of the current epoch
        self._resumed: dict[str, int] | None = None

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Remember the progress that a checkpoint was written at."""
        self._resumed = checkpoint.get(KEY)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Add the progress to a checkpoint."""
        loader = runner.train_loop.dataloader
        seed = getattr(_sampler(loader), 'seed', None)
        checkpoint[KEY] = dict(sampler_seed=seed, done=self._done, batches=len(loader))

    def before_train(self, runner: Any) -> None:
        """Take the progress up where the checkpoint left it."""
        seed = torch.tensor(runner.seed)
        broadcast(seed)  # with diff_rank_seed, ranks have different ones
        self._seed = int(seed)
        self._done = 0
        loader = runner.train_loop.dataloader
        if runner.iter > 0:
            self._restore(runner, loader)
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            # Its workers have started already: they repeat their work, given the same seed.
            if runner.cfg.get('randomness', {}).get('seed') is None:
                runner.logger.warning(
                    'an IterBasedTrainLoop resumes exactly only with a seed: set '
                    'randomness=dict(seed=…)'
                )
            return
        self._fetch = fetch_of(loader)

    def _restore(self, runner: Any, loader: DataLoader) -> None:
        if self._resumed is None:
            runner.logger.warning(
                'the checkpoint was written without ExactResumeHook: the training continues with '
                'other random numbers than an uninterrupted one'
            )
            return
        sampler = _sampler(loader)
        if self._resumed['sampler_seed'] is not None and hasattr(sampler, 'seed'):
            sampler.seed = self._resumed['sampler_seed']
        if not self._resumed['done']:
            return
        if (
            self._resumed['batches'] != len(loader)
            or type(loader.batch_sampler) is not BatchSampler
        ):
            runner.logger.warning(
                f'{self._resumed["done"]} of {self._resumed["batches"]} batches of the epoch were '
                f'done, but batches have changed: now {len(loader)} an epoch; the epoch restarts'
            )
            return
        self._done = self._resumed['done']

    def before_train_epoch(self, runner: Any) -> None:
        """Seed the epoch, and skip the batches that were trained on."""
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            return
        seed_from(self._seed, EPOCH, get_rank(), runner.epoch)
        self._fetch.begin_epoch(self._seed, runner.epoch)
        batches: Any = runner.train_loop.dataloader.batch_sampler
        if self._done:
            runner.logger.info(f'Resuming after {self._done} batches of epoch {runner.epoch + 1}')
            batches.sampler = ResumedSampler(batches.sampler, self._done * batches.batch_size)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the iteration."""
        seed_from(self._seed, ITERATION, get_rank(), runner.iter)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Count a batch."""
        self._done += 1

    def after_train_epoch(self, runner: Any) -> None:
        """Let the next epoch load all of its batches."""
        self._done = 0
        batches: Any = getattr(runner.train_loop.dataloader, 'batch_sampler', None)
        if isinstance(getattr(batches, 'sampler', None), ResumedSampler):
            batches.sampler = batches.sampler.whole

    def before_val_epoch(self, runner: Any) -> None:
        """Let errors of loading name the sample."""
        fetch_of(runner.val_loop.dataloader)

    def before_test_epoch(self, runner: Any) -> None:
        """Let errors of loading name the sample."""
        fetch_of(runner.test_loop.dataloader)


class ResumedSampler:
    """A sampler without its first samples, but of the length of the whole.

    Args:
        whole: The sampler.
        start: How many samples to skip.
    """

    def __init__(self, whole: Any, start: int) -> None:
        self.whole, self.start = whole, start

    def __iter__(self) -> Iterator[int]:
        return islice(iter(self.whole), self.start, None)

    def __len__(self) -> int:
        return len(self.whole)


def _sampler(loader: DataLoader) -> Any:
    return getattr(loader.batch_sampler, 'sampler', loader.sampler)
