"""Overfit a handful of COCO images, and evaluate on the same images.

A model that has seen an image a few hundred times must detect its people exactly; if it does not,
something between the annotation and the drawn skeleton is wrong.
"""

import argparse
from pathlib import Path

from commands import Commands

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent / 'configs'
DETECTOR = CONFIGS / 'demo' / 'rtmdet_person.py'
POSE = CONFIGS / 'demo' / 'td-hm_hrnet-w18-small-v1_overfit.py'
# One batch an epoch, in this process
LOADER = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']


def link_sample(sample: Path, root: Path) -> None:
    """Link the files of the sample, in ``root/data``, under the names that COCO's have."""
    links = {
        'annotations/person_keypoints_train2017.json': 'test_coco.json',
        'annotations/person_keypoints_val2017.json': 'test_coco.json',
        'train2017': '',
        'val2017': '',
        'person_detection_results/COCO_val2017_detections_AP_H_56_person.json': (
            'test_coco_det_AP_H_56.json'
        ),
    }
    targets = {root / 'data' / name: sample / target for name, target in links.items()}
    targets |= {root / 'images' / path.name: path for path in sample.glob('*.jpg')}
    for link, target in targets.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def epochs(number: int) -> list[str]:
    """Return options for so many epochs, a tenth of them to warm up, saving once at the end."""
    return [
        *LOADER,
        f'train_cfg.max_epochs={number}',
        f'param_scheduler.0.end={number // 10}',  # the first schedule warms up
        f'param_scheduler.1.end={number}',
        f'default_hooks.checkpoint.interval={number}',
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'sample',
        type=Path,
        help="folder with images, test_coco.json and test_coco_det_AP_H_56.json (MMPose's "
        'tests/data/coco)',
    )
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/real'), help='default: %(default)s'
    )
    parser.add_argument('--epochs', type=int, default=300, help='default: %(default)s')
    args = parser.parse_args()
    sample, root = args.sample.resolve(), args.work_dir.resolve()
    if not (sample / 'test_coco.json').exists():
        parser.error(f'{sample} has no test_coco.json')

    commands = Commands(root)
    link_sample(sample, root)
    print('Overfit the pose model')
    commands.train(
        *('mmpose', POSE, 'pose'),
        [
            *epochs(args.epochs),
            f'param_scheduler.1.milestones=[{args.epochs * 3 // 4}]',
        ],
    )
    boxes = {
        'ground-truth boxes': ['test_dataloader.dataset.bbox_file='],
        "the sample's detector boxes": [],
    }
    for title, options in boxes.items():
        metrics = commands.test('mmpose', POSE, 'pose', options)
        print(f'{title}: AP {metrics["coco/AP"]:.3f}, AP75 {metrics["coco/AP .75"]:.3f}')

    print('Overfit the detector, and apply both')
    detector = ['train_dataloader.batch_size=4', *epochs(args.epochs)]
    commands.train('mmdet', DETECTOR, 'detector', detector)
    # Training has left its configs, with our changes, beside its checkpoints.
    configs = ['--detector', f'detector/{DETECTOR.name}', '--pose', f'pose/{POSE.name}']
    commands.call('infer', 'python', HERE / 'infer.py', *configs, '--images', 'images')
    print(f'Images in {root}: skeletons.jpg, heatmaps.jpg')


if __name__ == '__main__':
    main()
