"""Show how far a training is."""

import time
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from tqdm import tqdm

from ..registry import HOOKS, strict_options

REFRESH_SECONDS = 0.5
BAR = '{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]'


@HOOKS.register_module()
@strict_options
class ProgressHook(Hook):
    """Show the epoch, the loss, the AP and the time left: a bar on a terminal, else lines.

    MMEngine's LoggerHook only logs. The time left includes validations so far. Elsewhere than on
    a terminal, each validated epoch is a line.

    Args:
        metric: Name of the metric to show.
    """

    priority = 'LOW'

    def __init__(self, metric: str = 'coco/AP') -> None:
        self.metric = metric
        self.value: float | None = None
        self._bar: tqdm | None = None
        self._shown = 0.0
        self._loss = ''

    @master_only
    def before_train(self, runner: Any) -> None:
        """Begin the bar where the training begins or resumes."""
        self._began, self._first = time.monotonic(), runner.iter
        self._bar = tqdm(
            total=runner.max_iters,
            initial=runner.iter,
            desc=f'epoch {runner.epoch + 1}/{runner.max_epochs}',
            unit='it',
            smoothing=0,  # the time left follows from the mean of all iterations
            dynamic_ncols=True,
            disable=None,
            bar_format=BAR,
        )

    @master_only
    def before_train_epoch(self, runner: Any) -> None:
        """Name the epoch."""
        if self._bar is not None:
            self._bar.set_description_str(f'epoch {runner.epoch + 1}/{runner.max_epochs}')

    @master_only
    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Advance the bar; read the loss from its device now and then only."""
        if self._bar is None:
            return
        self._bar.update()
        now = time.monotonic()
        if now - self._shown > REFRESH_SECONDS or self.is_last_train_iter(runner):
            self._shown = now
            loss = (outputs or {}).get('loss')
            self._loss = '' if loss is None else f'loss {torch.as_tensor(loss).item():.3g}'
            self._show()

    @master_only
    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Show the metric."""
        value = (metrics or {}).get(self.metric)
        self.value = None if value is None else float(value)
        if self._bar is None:
            return
        self._show()
        if self._bar.disable:
            done = max(1, runner.iter - self._first)
            left = (time.monotonic() - self._began) / done * (runner.max_iters - runner.iter)
            parts = [self._loss, self._metric(), f'{tqdm.format_interval(left)} left']
            print(
                f'epoch {runner.epoch}/{runner.max_epochs}: {", ".join(filter(None, parts))}',
                flush=True,
            )

    @master_only
    def after_train(self, runner: Any) -> None:
        """End the bar."""
        self.close()

    def close(self) -> None:
        """End the bar, also of a training that fails."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _metric(self) -> str:
        return '' if self.value is None else f'{self.metric.split("/")[-1]} {self.value:.3f}'

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(', '.join(filter(None, [self._loss, self._metric()])))
