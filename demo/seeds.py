"""Train and evaluate a config with several seeds: what it reaches, its spread, and the minutes.

A change of a config pays if the metric rises by more than seeds vary, or the minutes fall. Each
run is done once: re-run the command to resume, or with more seeds to add them.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.config import Config
from steps import Demo, Step, rows

# Package of a config: its metric, and the name of the metric in the table
METRICS = {'mmpose': ('coco/AP', 'AP'), 'mmdet': ('coco/bbox_mAP', 'box AP')}


class SeedsDemo(Demo):
    """Training and evaluation, on data of demo/run.py.

    Args:
        root: The folder of their results; its name is the row's in the table.
        data: The folder of a synthetic dataset.
        config: The config, of MMPose or MMDetection.
        options: Changes to it, as ``--cfg-options`` has them.
        seeds: Seeds of the trainings.
    """

    def __init__(
        self, root: Path, data: Path, config: Path, options: Sequence[str], seeds: Sequence[int]
    ) -> None:
        self.config = config
        self.options = options
        self.seeds = seeds
        content = Config.fromfile(config)
        self.package = content.get('default_scope')
        if self.package not in METRICS:
            raise SystemExit(
                f'{config} is for {self.package}; expected a config of {" or ".join(METRICS)}'
            )
        super().__init__(root, dict(config=content.pretty_text, options=list(options)))
        link = root / 'data'
        if not link.exists():
            link.symlink_to(data.resolve())

    @property
    def steps(self) -> dict[str, Step]:
        steps: dict[str, Step] = {}
        for seed in self.seeds:
            name = f'seed{seed}'
            steps |= {
                f'train_{name}': Step(
                    f'Train with seed {seed}', partial(self.train, name, seed), 5
                ),
                f'test_{name}': Step('Evaluate on held-out images', partial(self.test, name), 0.5),
            }
        return steps

    def train(self, name: str, seed: int) -> None:
        options = [*self.options, f'randomness.seed={seed}']
        self.commands.train(self.package, self.config, name, options)

    def test(self, name: str) -> dict[str, float]:
        return self.commands.test(self.package, self.config, name, [*self.options])

    def summary(self) -> str:
        metric, title = METRICS[self.package]
        results, seconds = self.state['results'], self.state['seconds']
        names = [f'seed{seed}' for seed in self.seeds]
        values = np.array([results[f'test_{name}'][metric] for name in names])
        minutes = np.array([seconds[f'train_{name}'] for name in names]) / 60
        spread = f'{values.min():.3f} to {values.max():.3f}'
        row = [
            *(self.root.name, str(len(names)), f'{values.mean():.3f}', spread),
            f'{minutes.mean():.1f}',
        ]
        head = ['change', 'seeds', f'{title}, mean', 'lowest to highest', 'minutes to train']
        return '\n'.join([*rows(head, row), ''])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', type=Path, help='of MMPose or MMDetection, as in configs/demo')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='changes to the config')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='default: 0 1 2')
    parser.add_argument(
        '--data', type=Path, default='work_dirs/demo/data', help='default: %(default)s'
    )
    parser.add_argument('--work-dir', type=Path, required=True, help='named like the change')
    args = parser.parse_args()
    if not (args.data / 'annotations').is_dir():
        parser.error(f'{args.data} has no annotations; `make demo` writes the default')
    try:
        SeedsDemo(
            args.work_dir.resolve(), args.data, args.config.resolve(), args.cfg_options, args.seeds
        ).run()
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; re-run the command to resume')


if __name__ == '__main__':
    main()
