"""The whole way once, on two cores: synthesise, train, evaluate, apply, show.

    python demo/run.py --work-dir work_dirs/demo

Every step is a command that a user would type (they stand in commands.txt), and is done once:
interrupted, the next run continues where this one stopped.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent / 'configs' / 'demo'
DETECTOR = CONFIGS / 'rtmdet-tiny_person.py'
POSE = CONFIGS / 'td-hm_hrnet-w18-small-v1_demo.py'
NUM_IMAGES, SEED, VAL_FRACTION = 3000, 1, 0.1
LOG_LINE = re.compile(r'Epoch\((train|val|test)\)\s+(?:\[(\d+)\])?\[\s*(\d+)/(\d+)\].*?eta: (\S+)')
LOG_VALUE = re.compile(r'\b(loss|acc_pose): (\S+)')


class Demo:
    """The steps, and what they leave in ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / 'data'
        self.logs = root / 'logs'
        self.done = root / 'done'
        for folder in (root, self.logs, self.done):
            folder.mkdir(parents=True, exist_ok=True)
        self.env = os.environ | {
            'COCO_ROOT': str(self.data),
            'PYTHONWARNINGS': 'ignore',
            # Threads that spin while they wait slow each other down where cores are few.
            'OMP_WAIT_POLICY': 'PASSIVE',
        }

    def run(self) -> None:
        steps: list[tuple[str, str, Callable[[], Any]]] = [
            ('synthesise', 'Draw 3,000 pictures of people, about 1 minute', self.synthesise),
            ('train_detector', 'Train the person detector, about 5 minutes', self.train_detector),
            ('test_detector', 'Detect people in the held-out pictures', self.test_detector),
            ('train_pose', 'Train the pose model, about 7 minutes', self.train_pose),
            ('test_gt', 'Evaluate with ground-truth boxes', self.test_gt),
            ('test_detected', "Evaluate with the detector's boxes", self.test_detected),
            ('infer', 'Apply both to held-out pictures', self.infer),
        ]
        for number, (name, title, step) in enumerate(steps, 1):
            stamp = self.done / f'{name}.json'
            if stamp.exists():
                print(f'[{number}/{len(steps)}] {title}: done before')
                continue
            print(f'[{number}/{len(steps)}] {title}')
            start = time.perf_counter()
            result = step()
            stamp.write_text(json.dumps(dict(seconds=time.perf_counter() - start, result=result)))
        self.plot()
        print(self.summarise())

    def result(self, step: str) -> Any:
        return json.loads((self.done / f'{step}.json').read_text())

    # Steps

    def synthesise(self) -> None:
        self.call(
            'synthesise',
            *('hrnet-plugin', 'synth', self.data),
            *('--images', NUM_IMAGES, '--seed', SEED, '--val-fraction', VAL_FRACTION),
        )

    def train_detector(self) -> None:
        self.train('mmdet', DETECTOR, 'detector')

    def train_pose(self) -> None:
        self.train('mmpose', POSE, 'pose')

    def test_detector(self) -> dict[str, float]:
        prefix = self.root / 'detector' / 'detections'
        options = [f'test_evaluator.outfile_prefix={prefix}']
        return self.test('mmdet', DETECTOR, 'detector', options)

    def test_gt(self) -> dict[str, float]:
        return self.test('mmpose', POSE, 'pose', [])

    def test_detected(self) -> dict[str, float]:
        boxes = self.root / 'detector' / 'detections.bbox.json'
        return self.test('mmpose', POSE, 'pose', [f'test_dataloader.dataset.bbox_file={boxes}'])

    def infer(self) -> None:
        self.call(
            'infer',
            *('python', HERE / 'infer.py', self.root),
            *('--detector', DETECTOR, '--pose', POSE),
        )

    # Commands

    def train(self, package: str, config: Path, name: str) -> None:
        self.call(
            f'train_{name}',
            *('mim', 'train', package, config),
            *('--work-dir', self.root / name, '--resume'),
        )

    def test(
        self, package: str, config: Path, name: str, options: list[str]
    ) -> dict[str, float]:
        """Run ``mim test`` and return its metrics."""
        work_dir = self.root / name / 'test'
        self.call(
            f'test_{name}',
            *('mim', 'test', package, config, '--checkpoint', self.checkpoint(name)),
            *('--work-dir', work_dir),
            *(['--cfg-options', *options] if options else []),
        )
        newest = max(work_dir.glob('*/*.json'), key=lambda path: path.stat().st_mtime)
        return json.loads(newest.read_text())

    def checkpoint(self, name: str) -> str:
        return (self.root / name / 'last_checkpoint').read_text().strip()

    def call(self, name: str, program: Any, *arguments: Any) -> None:
        """Run a command; show how far it is, keep all that it says in a log."""
        command = [str(part) for part in (program, *arguments)]
        with (self.root / 'commands.txt').open('a') as file:
            file.write(f'COCO_ROOT={self.data} {shlex.join(command)}\n')
        log = self.logs / f'{name}.log'
        with (
            log.open('a') as file,
            subprocess.Popen(
                [str(Path(sys.executable).parent / command[0]), *command[1:]],
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,  # a carriage return, as progress bars write, ends a line too
            ) as process,
            tqdm(bar_format='    {desc}', leave=False) as bar,
        ):
            for line in process.stdout or ():
                file.write(line)
                bar.set_description_str(progress(line) or bar.desc)
        if process.returncode:
            tail = '\n'.join(log.read_text().splitlines()[-15:])
            sys.exit(f'{tail}\n\n{shlex.join(command)}\nfailed; the whole log is {log}')

    # Results

    def plot(self) -> None:
        """Draw loss and accuracy of the pose model over its training."""
        rows = [row for row in self.scalars('pose') if 'loss' in row]
        iterations = [row['step'] for row in rows]
        figure, left = plt.subplots(figsize=(7, 4))
        left.plot(iterations, [row['loss'] for row in rows], color='tab:red')
        left.set_yscale('log')
        left.set_xlabel('iteration')
        left.set_ylabel('loss', color='tab:red')
        right = left.twinx()
        right.plot(iterations, [row['acc_pose'] for row in rows], color='tab:blue')
        right.set_ylim(0, 1)
        right.set_ylabel('accuracy (PCK 0.05 of training crops)', color='tab:blue')
        figure.suptitle(f'Training {POSE.stem}')
        figure.tight_layout()
        figure.savefig(self.root / 'training.png', dpi=120)

    def scalars(self, name: str) -> list[dict[str, float]]:
        """What training logged, over all runs that it took, later ones first to be believed."""
        rows = {}
        for path in sorted((self.root / name).glob('*/vis_data/scalars.json')):
            for line in path.read_text().splitlines():
                row = json.loads(line)
                rows[row['step'], 'loss' in row] = row
        return [rows[key] for key in sorted(rows)]

    def summarise(self) -> str:
        """One table of all that was measured; also written to summary.md."""
        gt, detected = self.result('test_gt'), self.result('test_detected')
        detector = self.result('test_detector')
        steps = sorted(self.done.glob('*.json'), key=lambda path: path.stat().st_mtime)
        seconds = {path.stem: json.loads(path.read_text())['seconds'] for path in steps}
        names = dict(AP='coco/AP', AP50='coco/AP .5', AP75='coco/AP .75', AR='coco/AR')
        table = [
            '| held-out pictures | ' + ' | '.join(names) + ' |',
            '| --- ' * (len(names) + 1) + '|',
            '| ground-truth boxes | ' + ' | '.join(f'{gt[k]:.3f}' for k in names.values()) + ' |',
            "| detector's boxes | "
            + ' | '.join(f'{detected[k]:.3f}' for k in names.values())
            + ' |',
            '',
            f'Person detector: box AP {detector["coco/bbox_mAP"]:.3f}, '
            f'AP50 {detector["coco/bbox_mAP_50"]:.3f}.',
            f'Took {sum(seconds.values()) / 60:.1f} minutes: '
            + ', '.join(f'{name} {s / 60:.1f}' for name, s in seconds.items())
            + '.',
            f'Pictures: {self.root}/skeletons.jpg, heatmaps.jpg, training.png; '
            'commands: commands.txt.',
        ]
        text = '\n'.join(table)
        (self.root / 'summary.md').write_text(text + '\n')
        return text


def progress(line: str) -> str | None:
    """What a line of a log says of how far a command is; None if nothing."""
    match = LOG_LINE.search(line)
    if match:
        phase, epoch, step, steps, left = match.groups()
        losses = ''.join(f', {k} {float(v):.3g}' for k, v in LOG_VALUE.findall(line))
        return f'{phase} epoch {epoch or 1}, {step}/{steps}{losses}, {left} to go'
    return line.strip() if 'image/s' in line else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/demo'), help='default: %(default)s'
    )
    args = parser.parse_args()
    try:
        Demo(args.work_dir.resolve()).run()
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; run it again to continue')


if __name__ == '__main__':
    main()
