"""Train and evaluate a config with several seeds: what it reaches, its spread, and the minutes.

A change of a config pays if the metric rises by more than seeds vary, or the minutes fall. Of
several numbers of epochs, a curve tells what more time brings. Each run is done once: re-run the
command to resume, or with more seeds or epochs to add them.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from mmengine.config import Config
from steps import Demo, Step, epoch_options, rows

from hrnet_plugin.apis import evaluate_files
from hrnet_plugin.functional.coco.diagnosis_result import INVERSION

# Package of a config: its metric, and the name of the metric in the table
METRICS = {'mmpose': ('coco/AP', 'AP'), 'mmdet': ('coco/bbox_mAP', 'box AP')}


class Runs(NamedTuple):
    """What trainings of the same number of epochs reach: metric and minutes of each seed."""

    epochs: int
    values: np.ndarray
    minutes: np.ndarray


class SeedsDemo(Demo):
    """Training and evaluation, on data of demo/run.py.

    Args:
        root: The folder of their results; its name is the row's in the table.
        data: The folder of a synthetic dataset.
        config: The config, of MMPose or MMDetection.
        options: Changes to it, as ``--cfg-options`` has them.
        seeds: Seeds of the trainings; each counts once.
        epochs: Numbers of epochs to train each seed for; none for the config's.

    Raises:
        SystemExit: The config is of another package, or ``options`` set the number of epochs,
            which would then not be the one in the table.
    """

    def __init__(
        self,
        root: Path,
        data: Path,
        config: Path,
        options: Sequence[str],
        seeds: Sequence[int],
        epochs: Sequence[int] = (),
    ) -> None:
        self.config = config
        self.options = options
        self.seeds = sorted(set(seeds))
        if any(option.startswith('train_cfg.max_epochs=') for option in options):
            raise SystemExit('--cfg-options has train_cfg.max_epochs; say --epochs instead')
        content = Config.fromfile(config)
        self.package = content.get('default_scope')
        if self.package not in METRICS:
            raise SystemExit(
                f'{config} is for {self.package}; expected a config of {" or ".join(METRICS)}'
            )
        self.epochs = sorted(set(epochs)) or [content.train_cfg.max_epochs]
        super().__init__(root, dict(config=content.pretty_text, options=list(options)))
        link = root / 'data'
        if not link.exists():
            link.symlink_to(data.resolve())

    @property
    def steps(self) -> dict[str, Step]:
        steps: dict[str, Step] = {}
        for epochs in self.epochs:
            for seed in self.seeds:
                name = name_of(epochs, seed)
                title = f'Train for {epochs} epochs with seed {seed}'
                steps |= {
                    f'train_{name}': Step(title, partial(self.train, epochs, seed), epochs),
                    f'test_{name}': Step(
                        'Evaluate on held-out images', partial(self.test, epochs, seed), 0.4
                    ),
                }
        return steps

    def train(self, epochs: int, seed: int) -> None:
        options = [*epoch_options(epochs), *self.options, f'randomness.seed={seed}']
        self.commands.train(self.package, self.config, name_of(epochs, seed), options)

    def test(self, epochs: int, seed: int) -> dict[str, float]:
        name = name_of(epochs, seed)
        if self.package == 'mmdet':
            return self.test_person_detector(self.config, name, self.options)
        prefix = f'test_evaluator.outfile_prefix={name}/predictions'
        return self.commands.test(self.package, self.config, name, [*self.options, prefix])

    def predictions(self, name: str) -> Path:
        """Return the file of what a tested run predicts."""
        detector = self.package == 'mmdet'
        file = 'detections.bbox.json' if detector else 'predictions.keypoints.json'
        return self.root / name / file

    def run(self) -> None:
        for epochs in self.epochs:  # test again what an earlier version tested without a file
            for name in (name_of(epochs, seed) for seed in self.seeds):
                if not self.predictions(name).exists():
                    self.state['results'].pop(f'test_{name}', None)
        super().run()
        if len(self.epochs) > 1:
            plot_curve(self.results(), METRICS[self.package][1], self.root / 'curve.png')

    def results(self) -> list[Runs]:
        """Return what each number of epochs reaches, in rising order."""
        metric, _ = METRICS[self.package]
        results, seconds = self.state['results'], self.state['seconds']
        runs = []
        for epochs in self.epochs:
            names = [name_of(epochs, seed) for seed in self.seeds]
            values = np.array([results[f'test_{name}'][metric] for name in names])
            minutes = np.array([seconds[f'train_{name}'] for name in names]) / 60
            runs.append(Runs(epochs, values, minutes))
        return runs

    def summary(self) -> str:
        title = METRICS[self.package][1]
        head = ['change', 'epochs', 'seeds', f'{title}, mean', 'lowest to highest']
        table = [[*head, 'minutes to train']]
        if self.package == 'mmdet':
            table[0] += [f'{kind} people of each seed' for kind in ('missed', 'false')]
        else:
            table[0] += ['most inverted keypoint of each seed']
        for epochs, values, minutes in self.results():
            row = [self.root.name, str(epochs), str(len(values)), f'{values.mean():.3f}']
            row += [f'{values.min():.3f} to {values.max():.3f}', f'{minutes.mean():.1f}']
            names = [name_of(epochs, seed) for seed in self.seeds]
            if self.package == 'mmdet':
                counts = [self.count_held_out(name) for name in names]
                row += [', '.join(str(c[kind]) for c in counts) for kind in ('missed', 'false')]
            else:
                row += [', '.join(self.most_inverted(name) for name in names)]
            table.append(row)
        return '\n'.join([*rows(*table), ''])

    def most_inverted(self, name: str) -> str:
        """Return the keypoint with the largest share of inversions, and that share.

        Left and right of a joint that is not learned yet are exchanged as often as not.
        """
        report = evaluate_files(
            self.root / 'data/annotations/person_keypoints_val2017.json',
            self.predictions(name),
            resamples=0,
            gallery=0,
        )
        [model] = report.content['models']
        counts = np.array(model['diagnosis']['keypoint_counts'])
        shares = counts[:, INVERSION] / counts.sum(axis=1).clip(1)
        worst = int(shares.argmax())
        if not shares[worst]:
            return 'none'
        return f'{report.content["skeleton"]["names"][worst]} {shares[worst]:.2f}'


def name_of(epochs: int, seed: int) -> str:
    """Return the name of a run, of its folder, too."""
    return f'epochs{epochs}_seed{seed}'


def plot_curve(results: Sequence[Runs], metric: str, path: Path) -> None:
    """Plot a metric against the minutes of training: each run, and the mean of seeds."""
    figure, axes = plt.subplots(figsize=(7, 4))
    for epochs, values, minutes in results:
        axes.plot(minutes, values, 'o', color='tab:blue', alpha=0.5)
        axes.annotate(
            f'{epochs} epochs',
            (minutes.mean(), values.min()),
            xytext=(0, -16),
            textcoords='offset points',
            ha='center',
        )
    means = [(minutes.mean(), values.mean()) for _, values, minutes in results]
    axes.plot(*zip(*means), '-', color='tab:blue')
    axes.set_xlim(left=0)
    axes.margins(y=0.2)
    axes.set_xlabel('minutes to train')
    axes.set_ylabel(f'{metric} on held-out images')
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=Path, help='of MMPose or MMDetection, as in configs/demo')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='changes to the config')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='default: 0 1 2')
    parser.add_argument(
        '--epochs', type=int, nargs='+', default=[], help="several draw a curve; default: config's"
    )
    parser.add_argument(
        '--data', type=Path, default='work_dirs/demo/data', help='default: %(default)s'
    )
    parser.add_argument('--work-dir', type=Path, required=True, help='named like the change')
    args = parser.parse_args()
    warnings.filterwarnings('ignore', 'pkg_resources is deprecated')  # by packages of bases
    if min(args.epochs, default=1) < 1:
        parser.error(f'--epochs has {min(args.epochs)}; expected numbers from 1')
    if not args.config.is_file():
        parser.error(f'{args.config} is not a file; configs/demo has configs of the demo')
    if not (args.data / 'annotations').is_dir():
        parser.error(f'{args.data} has no annotations; `make demo` writes the default')
    root, config = args.work_dir.resolve(), args.config.resolve()
    try:
        SeedsDemo(root, args.data, config, args.cfg_options, args.seeds, args.epochs).run()
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; re-run the command to resume')


if __name__ == '__main__':
    main()
