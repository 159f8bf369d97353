"""Segment, detect and classify on two cores: synthesise, train, evaluate, draw.

Every step is a command that a user could type; commands.txt lists them. Each is done once: re-run
the command to resume an interrupted run, or name more tasks to add them.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from steps import Demo, Step, epoch_options, rows

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent / 'configs' / 'demo'


class Task(NamedTuple):
    """A task, and how it is trained and measured.

    Attributes:
        does: What its model does, as titles say.
        package: Package that trains it.
        config: File in configs/demo.
        metric: Name of its metric in results.
        unit: The metric's name in the summary.
        scale: The value of a perfect model.
    """

    does: str
    package: str
    config: str
    metric: str
    unit: str
    scale: int


TASKS = {
    'segmentation': Task(
        'segment people', 'mmseg', 'fcn_hr18s-v1_demo-person.py', 'mIoU', 'mIoU', 100
    ),
    'parts': Task(
        'segment their parts', 'mmseg', 'fcn_hr18s-v1_demo-parts.py', 'mIoU', 'mIoU', 100
    ),
    'detection': Task(
        *('detect people', 'mmdet', 'rtmdet_hrnetv2p-w18-small-v1_person.py'),
        *('coco/bbox_mAP', 'box AP', 1),
    ),
    'classification': Task(
        *('classify scenes', 'mmpretrain', 'hrnet-w18-small-v1_demo-setting.py'),
        *('accuracy/top1', 'accuracy', 100),
    ),
}


class TaskDemo(Demo):
    """Training, evaluation and drawing for some tasks.

    Args:
        root: The folder of their results.
        tasks: Keys of TASKS.
        images: How many images to synthesise.
        epochs: Epochs of each training; None for those of the configs.
    """

    def __init__(self, root: Path, tasks: Sequence[str], images: int, epochs: int | None) -> None:
        self.tasks = tasks
        self.images = images
        self.options = epoch_options(epochs)
        configs = {f'config of {name}': config_of(name).read_text() for name in tasks}
        super().__init__(root, dict(images=images, epochs=epochs, **configs))

    @property
    def steps(self) -> dict[str, Step]:
        labels = ['--tasks', 'detection', 'segmentation', 'classification']
        steps = {
            'synthesise': Step(
                'Synthesise images with labels',
                partial(self.synthesise, self.images, *labels),
                1.5,
            )
        }
        for name in self.tasks:
            does = TASKS[name].does
            steps |= {
                f'train_{name}': Step(f'Train a model to {does}', partial(self.train, name), 5),
                f'test_{name}': Step('Evaluate on held-out images', partial(self.test, name), 0.5),
                f'draw_{name}': Step('Draw what it predicts', partial(self.draw, name), 0.3),
            }
        return steps

    def train(self, name: str) -> None:
        self.commands.train(TASKS[name].package, config_of(name), name, self.options)

    def test(self, name: str) -> dict[str, float]:
        return self.commands.test(TASKS[name].package, config_of(name), name, [])

    def draw(self, name: str) -> None:
        arguments = [TASKS[name].package, config_of(name), f'{name}.pth', '--out', name]
        self.commands.call(f'draw_{name}', 'python', HERE / 'draw.py', *arguments)

    def summary(self) -> str:
        table = [['task', 'config', 'metric', 'value', 'minutes to train']]
        for name in self.tasks:
            task = TASKS[name]
            value = self.state['results'][f'test_{name}'][task.metric] / task.scale
            minutes = self.state['seconds'][f'train_{name}'] / 60
            table.append([name, task.config, task.unit, f'{value:.3f}', f'{minutes:.1f}'])
        pictures = ', '.join(f'{name}.jpg' for name in self.tasks)
        return '\n'.join(
            [
                *rows(*table),
                '',
                f'{sum(self.state["seconds"].values()) / 60:.1f} minutes altogether.',
                'The images are synthetic: these values validate the pipeline, not accuracy on '
                'photographs.',
                f'Images in {self.root}: {pictures}.',
                '',
            ]
        )


def config_of(name: str) -> Path:
    """Return the config of a task."""
    return CONFIGS / TASKS[name].config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'tasks', nargs='*', metavar='TASK', help=f'{", ".join(TASKS)}; default: all'
    )
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/tasks'), help='default: %(default)s'
    )
    parser.add_argument('--images', type=int, default=2400, help='default: %(default)s')
    parser.add_argument('--epochs', type=int, help="of each training; default: the configs'")
    args = parser.parse_args()
    for name in args.tasks:
        if name not in TASKS:
            parser.error(f'{name!r} is none of the tasks: {", ".join(TASKS)}')
    # In the order of TASKS, each once
    tasks = [name for name in TASKS if name in (args.tasks or TASKS)]
    try:
        TaskDemo(args.work_dir.resolve(), tasks, args.images, args.epochs).run()
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; re-run the command to resume')


if __name__ == '__main__':
    main()
