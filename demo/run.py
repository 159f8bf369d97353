"""Run the whole pipeline on two cores: synthesise, train, evaluate, predict, draw.

Every step is a command that a user could type; commands.txt lists them. Each is done once: re-run
the command to resume an interrupted run.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from pictures import SCORE, count_people
from steps import Demo, Step, epoch_options, rows

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent / 'configs' / 'demo'


class Models(NamedTuple):
    """Configs, in configs/demo, of the models to train, and how to do so.

    Attributes:
        pose: Config of the pose model.
        minutes: How long its training takes on some machine, and that of the detector.
        images: Number of images to synthesise.
        detector: Config of the person detector.
    """

    pose: str
    minutes: tuple[float, float]
    images: int = 2400
    detector: str = 'rtmdet_hrnetv2p-w18-small-v1_person.py'


MODELS = {  # by the architecture of the pose model
    'w18-small-v1': Models(
        'td-hm_hrnet-w18-small-v1_demo.py',
        minutes=(7, 4),
        images=3600,
        detector='rtmdet_hrnetv2p-w18-small-v1_from-pose.py',
    ),
    'lite-18': Models('td-hm_litehrnet-18_demo.py', minutes=(12, 3)),
    'hrformer-tiny': Models('td-hm_hrformer-tiny_demo.py', minutes=(14, 3), images=2160),
}
DEFAULT, *OTHERS = MODELS
# Column of the summary: name of the metric
METRICS = dict(AP='coco/AP', AP50='coco/AP .5', AP75='coco/AP .75', AR='coco/AR')


class PoseDemo(Demo):
    """The steps of the demo.

    Args:
        root: The folder of their results.
        arch: Architecture of the pose model, a key of MODELS.
        images: How many images to synthesise.
        epochs: Epochs of each training; None for those of the configs.
    """

    def __init__(self, root: Path, arch: str, images: int, epochs: int | None) -> None:
        models = MODELS[arch]
        self.pose, self.detector = CONFIGS / models.pose, CONFIGS / models.detector
        self.minutes = models.minutes
        self.images = images
        self.options = epoch_options(epochs)
        configs = [c.read_text() for c in (self.detector, self.pose)]
        super().__init__(root, dict(arch=arch, images=images, epochs=epochs, configs=configs))

    @property
    def steps(self) -> dict[str, Step]:
        pose, detector = self.minutes
        return {
            'synthesise': Step(
                'Synthesise images of people', lambda: self.synthesise(self.images), 1
            ),
            'train_pose': Step('Train the pose model', self.train_pose, pose),
            'test_gt': Step('Evaluate with ground-truth boxes', self.test_gt, 0.3),
            'train_detector': Step('Train the person detector', self.train_detector, detector),
            'test_detector': Step('Detect people in the held-out images', self.test_detector, 0.4),
            'test_detected': Step("Evaluate with the detector's boxes", self.test_detected, 0.4),
            'infer': Step('Apply both to new images', self.infer, 0.3),
            'evaluate': Step('Show the errors of the pose model', self.evaluate, 0.3),
        }

    def run(self) -> None:
        super().run()
        plot_training(self.root / 'pose', self.root / 'training.png')

    def train_detector(self) -> None:
        self.commands.train('mmdet', self.detector, 'detector', self.options)

    def test_detector(self) -> dict[str, float]:
        return self.test_person_detector(self.detector, 'detector')

    def train_pose(self) -> None:
        self.commands.train('mmpose', self.pose, 'pose', self.options)

    def test_gt(self) -> dict[str, float]:
        return self.commands.test('mmpose', self.pose, 'pose', [])

    def test_detected(self) -> dict[str, float]:
        options = [
            'test_dataloader.dataset.bbox_file=detector/detections.bbox.json',
            'test_evaluator.outfile_prefix=pose/detected',
        ]
        return self.commands.test('mmpose', self.pose, 'pose', options)

    def infer(self) -> Mapping[str, int]:
        configs = ['--detector', self.detector, '--pose', self.pose]
        self.commands.call('infer', 'python', HERE / 'infer.py', *configs)
        return count_people(self.root / 'predictions')

    def evaluate(self) -> None:
        if not (self.root / 'pose' / 'detected.keypoints.json').exists():
            self.test_detected()  # as by an earlier version, which did not keep what it predicted
        self.commands.call(
            'evaluate',
            *('hrnet-plugin', 'evaluate', 'data/annotations/person_keypoints_val2017.json'),
            *('pose/detected.keypoints.json', '--images', 'data/val2017', '--out', 'report'),
        )
        self.commands.call(
            'errors',
            *('python', HERE / 'errors.py', 'report/report.json'),
            *('--images', 'data/val2017', '--out', 'errors.jpg'),
        )

    def summary(self) -> str:
        results = self.state['results']
        detector = results['test_detector']
        minutes = {name: seconds / 60 for name, seconds in self.state['seconds'].items()}
        table = [['held-out images', *METRICS]]
        for name, title in (
            ('test_gt', 'ground-truth boxes'),
            ('test_detected', "the detector's boxes"),
        ):
            values = [results[name][metric] for metric in METRICS.values()]
            table.append([title, *(f'{value:.3f}' for value in values)])
        return '\n'.join(
            [
                *rows(*table),
                '',
                f'Person detector: box AP {detector["coco/bbox_mAP"]:.3f}, '
                f'AP50 {detector["coco/bbox_mAP_50"]:.3f}.',
                f'{sum(minutes.values()):.1f} minutes: '
                + ', '.join(f'{name} {value:.1f}' for name, value in minutes.items())
                + '.',
                found_people('held-out', self.count_held_out('detector')),
                # An earlier version did not count.
                *([found_people('new', results['infer'])] if results['infer'] else []),
                'The images are synthetic: these scores validate the pipeline, not accuracy on '
                'photographs.',
                f'Images in {self.root}: skeletons.jpg, heatmaps.jpg, errors.jpg, training.png.',
                'All errors, and what each costs: report/report.html, in a browser.',
                '',
            ]
        )


def found_people(images: str, numbers: Mapping[str, int]) -> str:
    """Say how many people are found in some images."""
    people = numbers['found'] + numbers['missed']
    return (
        f'In the {images} images, {numbers["found"]} of {people} people are found with a score '
        f'above {SCORE}, and {numbers["false"]} where there are none.'
    )


def plot_training(work_dir: Path, path: Path) -> None:
    """Plot loss and accuracy of a training, resumed or not."""
    rows: dict[int, dict[str, Any]] = {}
    for log in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in log.read_text().splitlines():
            row = json.loads(line)
            if 'loss' in row:
                rows[row['iter']] = row  # a later run repeated it
    iterations = sorted(rows)
    figure, left = plt.subplots(figsize=(7, 4))
    left.semilogy(iterations, [rows[i]['loss'] for i in iterations], color='tab:red')
    left.set_xlabel('iteration')
    left.set_ylabel('loss (mean squared error of heatmaps)', color='tab:red')
    right = left.twinx()
    right.plot(iterations, [rows[i]['acc_pose'] for i in iterations], color='tab:blue')
    right.set_ylim(0, 1)
    right.set_ylabel('accuracy (PCK 0.05 of training crops)', color='tab:blue')
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--arch', choices=MODELS, default=DEFAULT, help='of the pose model; default: %(default)s'
    )
    parser.add_argument(
        '--work-dir', type=Path, help='default: work_dirs/demo, or work_dirs/demo-ARCH'
    )
    numbers = ', '.join(f'{models.images} for {arch}' for arch, models in MODELS.items())
    parser.add_argument('--images', type=int, help=f'default: {numbers}')
    parser.add_argument('--epochs', type=int, help="of each training; default: the configs'")
    args = parser.parse_args()
    suffix = f'-{args.arch}' if args.arch in OTHERS else ''
    root = args.work_dir or Path(f'work_dirs/demo{suffix}')
    try:
        images = args.images or MODELS[args.arch].images
        PoseDemo(root.resolve(), args.arch, images, args.epochs).run()
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; re-run the command to resume')


if __name__ == '__main__':
    main()
