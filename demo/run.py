"""Run the whole pipeline on two cores: synthesise, train, evaluate, predict, draw.

Every step is a command that a user could type; commands.txt lists them. Each is done once: re-run
the command to resume an interrupted run.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from commands import Commands

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent / 'configs' / 'demo'
DETECTOR = CONFIGS / 'rtmdet_person.py'
# arch: config of the pose model
POSES = {
    'w18-small-v1': CONFIGS / 'td-hm_hrnet-w18-small-v1_demo.py',
    'lite-18': CONFIGS / 'td-hm_litehrnet-18_demo.py',
    'hrformer-tiny': CONFIGS / 'td-hm_hrformer-tiny_demo.py',
}
DEFAULT, *OTHERS = POSES
# Column of the summary: name of the metric
METRICS = dict(AP='coco/AP', AP50='coco/AP .5', AP75='coco/AP .75', AR='coco/AR')
STEPS = {
    'synthesise': 'Synthesise images of people',
    'train_detector': 'Train the person detector',
    'test_detector': 'Detect people in the held-out images',
    'train_pose': 'Train the pose model',
    'test_gt': 'Evaluate with ground-truth boxes',
    'test_detected': "Evaluate with the detector's boxes",
    'infer': 'Apply both to new images',
    'evaluate': 'Write a page about the errors of the pose model',
}


class Demo:
    """The steps of the demo, each a method, with their results in a folder.

    Args:
        root: The folder.
        arch: Architecture of the pose model, a key of POSES.
        images: How many images to synthesise.
        epochs: Epochs of each training; None for those of the configs.
    """

    def __init__(self, root: Path, arch: str, images: int, epochs: int | None) -> None:
        self.root = root
        self.pose = POSES[arch]
        self.images = images
        self.options = (
            []
            if epochs is None
            else [
                f'train_cfg.max_epochs={epochs}',
                f'param_scheduler.1.end={epochs}',
            ]
        )
        self.commands = Commands(root)
        self.state_file = root / 'state.json'
        settings = dict(
            arch=arch,
            images=images,
            epochs=epochs,
            configs=[c.read_text() for c in (DETECTOR, self.pose)],
        )
        self.state: dict[str, Any] = dict(settings=settings, results={}, seconds={})
        if self.state_file.exists():
            self.state = json.loads(self.state_file.read_text())
            for name, value in settings.items():
                if self.state['settings'].get(name) != value:
                    raise SystemExit(
                        f'{root} was made with other {name}; delete it, or name another folder '
                        'with --work-dir'
                    )

    def run(self) -> None:
        """Run the steps that are not done yet, and print a summary."""
        self.save()
        for number, (name, title) in enumerate(STEPS.items(), 1):
            done = name in self.state['results']
            print(f'[{number}/{len(STEPS)}] {title}{": done before" if done else ""}', flush=True)
            if not done:
                self.run_step(name)
        plot_training(self.root / 'pose', self.root / 'training.png')
        table = self.summary()
        (self.root / 'summary.md').write_text(table)
        print(table, end='')

    def run_step(self, name: str) -> None:
        """Run one step, and note its result and its time."""
        start, before = time.perf_counter(), self.state['seconds'].get(name, 0)
        try:
            self.state['results'][name] = getattr(self, name)()
        finally:  # the time of an interrupted step counts, too
            self.state['seconds'][name] = before + time.perf_counter() - start
            self.save()

    def save(self) -> None:
        """Write the state atomically."""
        new = self.state_file.with_suffix('.new')
        new.write_text(json.dumps(self.state))
        new.replace(self.state_file)

    def synthesise(self) -> None:
        self.commands.call(
            'synthesise',
            *('hrnet-plugin', 'synth', 'data', '--images', self.images, '--seed', 1),
        )

    def train_detector(self) -> None:
        self.commands.train('mmdet', DETECTOR, 'detector', self.options)

    def test_detector(self) -> dict[str, float]:
        options = ['test_evaluator.outfile_prefix=detector/detections']
        return self.commands.test('mmdet', DETECTOR, 'detector', options)

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

    def infer(self) -> None:
        configs = ['--detector', DETECTOR, '--pose', self.pose]
        self.commands.call('infer', 'python', HERE / 'infer.py', *configs)

    def evaluate(self) -> None:
        if not (self.root / 'pose' / 'detected.keypoints.json').exists():
            self.test_detected()  # as by an earlier version, which did not keep what it predicted
        self.commands.call(
            'evaluate',
            *('hrnet-plugin', 'evaluate', 'data/annotations/person_keypoints_val2017.json'),
            *('pose/detected.keypoints.json', '--images', 'data/val2017', '--out', 'report'),
        )

    def summary(self) -> str:
        """Return all measurements as Markdown."""
        results = self.state['results']
        detector = results['test_detector']
        minutes = {name: seconds / 60 for name, seconds in self.state['seconds'].items()}
        rows = [['held-out images', *METRICS], ['---'] * (len(METRICS) + 1)]
        for name, title in (
            ('test_gt', 'ground-truth boxes'),
            ('test_detected', "the detector's boxes"),
        ):
            values = [results[name][metric] for metric in METRICS.values()]
            rows.append([title, *(f'{value:.3f}' for value in values)])
        return '\n'.join(
            [
                *('| ' + ' | '.join(row) + ' |' for row in rows),
                '',
                f'Person detector: box AP {detector["coco/bbox_mAP"]:.3f}, '
                f'AP50 {detector["coco/bbox_mAP_50"]:.3f}.',
                f'{sum(minutes.values()):.1f} minutes: '
                + ', '.join(f'{name} {value:.1f}' for name, value in minutes.items())
                + '.',
                'The images are synthetic: these scores validate the pipeline, not accuracy on '
                'photographs.',
                f'Images in {self.root}: skeletons.jpg, heatmaps.jpg, training.png.',
                'Errors, and the people with the costliest: report/report.html, in a browser.',
                '',
            ]
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
        '--arch', choices=POSES, default=DEFAULT, help='of the pose model; default: %(default)s'
    )
    parser.add_argument(
        '--work-dir', type=Path, help='default: work_dirs/demo, or work_dirs/demo-ARCH'
    )
    parser.add_argument('--images', type=int, default=2400, help='default: %(default)s')
    parser.add_argument('--epochs', type=int, help="of each training; default: the configs'")
    args = parser.parse_args()
    suffix = f'-{args.arch}' if args.arch in OTHERS else ''
    root = args.work_dir or Path(f'work_dirs/demo{suffix}')
    try:
        Demo(root.resolve(), args.arch, args.images, args.epochs).run()
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; re-run the command to resume')


if __name__ == '__main__':
    main()
