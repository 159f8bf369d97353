"""Plot a training."""

import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook

from ..registry import HOOKS, strict_options
from ..utils.atomic_files import write_atomically
from ..utils.json_files import read_json

HISTORY, CURVES = 'history.json', 'curves.png'
Row = dict[str, Any]  # epoch, minutes, loss, acc_pose, and the metric where it was validated


@HOOKS.register_module()
@strict_options
class CurvesHook(Hook):
    """Keep loss, accuracy and AP of each epoch in ``history.json``, and plot ``curves.png``.

    Both are in the work folder, and continue where a run is resumed. The plot is drawn after each
    validation and at the end, on epochs and minutes.

    Args:
        metric: Name of the metric that is plotted.
    """

    priority = 'LOW'

    def __init__(self, metric: str = 'coco/AP') -> None:
        self.metric = metric
        self.rows: list[Row] = []

    @master_only
    def before_train(self, runner: Any) -> None:
        """Read the epochs before the one that is resumed."""
        path = Path(runner.work_dir) / HISTORY
        if runner.iter > 0 and path.is_file():
            self.rows = [row for row in read_json(path) if row['epoch'] <= runner.epoch]
        self._minutes = self.rows[-1]['minutes'] if self.rows else 0.0
        self._began = time.monotonic()
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0

    @master_only
    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Add up loss and accuracy, on their device."""
        self._count += 1
        for name in ('loss', 'acc_pose'):
            if (value := (outputs or {}).get(name)) is not None:
                value = torch.as_tensor(value).detach()
                self._sums[name] = self._sums.get(name, 0) + value

    @master_only
    def after_train_epoch(self, runner: Any) -> None:
        """Add an epoch, of the iterations since it began or was resumed."""
        row = dict(epoch=runner.epoch + 1, minutes=self._elapsed())
        row |= {name: float(total) / self._count for name, total in self._sums.items()}
        self.rows.append(row)
        self._sums, self._count = {}, 0
        self._write(runner)

    @master_only
    def after_val_epoch(self, runner: Any, metrics: Mapping[str, float] | None = None) -> None:
        """Add the metric to the epoch, and plot."""
        value = (metrics or {}).get(self.metric)
        if not self.rows or value is None:
            return
        self.rows[-1] |= {self.metric: float(value), 'minutes': self._elapsed()}
        self._write(runner)
        self._plot(runner)

    @master_only
    def after_train(self, runner: Any) -> None:
        """Plot the whole training."""
        self._plot(runner)

    def _elapsed(self) -> float:
        return round(self._minutes + (time.monotonic() - self._began) / 60, 4)

    def _write(self, runner: Any) -> None:
        write_atomically(Path(runner.work_dir) / HISTORY, json.dumps(self.rows).encode())

    def _plot(self, runner: Any) -> None:
        if self.rows:
            png = plot_history(self.rows, self.metric)
            write_atomically(Path(runner.work_dir) / CURVES, png)


def plot_history(rows: Sequence[Row], metric: str) -> bytes:
    """Plot loss, accuracy and a metric on epochs, below an axis of minutes.

    Args:
        rows: Epochs, in order.
        metric: Name of the metric.

    Returns:
        The image as PNG.
    """
    from matplotlib.figure import Figure  # slow to import

    epochs = [row['epoch'] for row in rows]
    minutes = [row['minutes'] for row in rows]
    figure = Figure(figsize=(7, 4))
    left = figure.add_subplot()
    right = left.twinx()
    left.set_xlabel('epoch')
    left.set_ylabel('loss', color='tab:red')
    right.set_ylabel('accuracy, AP')
    right.set_ylim(0, 1)
    lines: list[Any] = []
    curves: list[tuple[Any, str, str, dict[str, Any]]] = [
        (left, 'loss', 'loss', dict(color='tab:red')),
        (right, 'acc_pose', 'accuracy of training crops (PCK 0.05)', dict(color='tab:blue')),
        (right, metric, f'{metric.split("/")[-1]} of validation', dict(color='k', marker='.')),
    ]
    for axes, name, label, style in curves:
        points = [(row['epoch'], row[name]) for row in rows if row.get(name) is not None]
        if points:
            lines += axes.plot(*zip(*points), label=label, **style)
    if any(row.get('loss', 0) > 0 for row in rows):
        left.set_yscale('log')
    right.legend(handles=lines, fontsize='small', loc='center right')
    ticks = sorted({0, len(rows) // 4, len(rows) // 2, 3 * len(rows) // 4, len(rows) - 1})
    top = left.secondary_xaxis('top')
    top.set_xticks([epochs[i] for i in ticks], [f'{minutes[i]:.3g}' for i in ticks])
    top.set_xlabel('minutes')
    figure.tight_layout()
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=120)
    return file.getvalue()
