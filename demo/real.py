"""Real pictures: learn a handful of COCO pictures by heart, and check that all comes out right.

A model that has seen a picture a few hundred times must find its people exactly; if it does not,
something between the annotation and the drawn skeleton is wrong.
"""

import argparse
from pathlib import Path

from commands import Commands

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent / 'configs'
DETECTOR = CONFIGS / 'demo' / 'rtmdet_person.py'
POSE = CONFIGS / 'body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
# One batch an epoch, in this process
LOADER = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
# A small arch from random weights
MODEL = [
    'model.backbone.arch=w18-small-v1',
    'model.backbone.init_cfg=None',
    'model.head.in_channels=16',
]
# Less of the random steps: mirrored, for the flip test, and as far off as a detector's boxes are
STEPS = [
    'train_dataloader.dataset.pipeline.3.prob=0.0',
    'train_dataloader.dataset.pipeline.4.shift_factor=0.05',
    'train_dataloader.dataset.pipeline.4.scale_factor=(0.9,1.1)',
    'train_dataloader.dataset.pipeline.4.rotate_prob=0.0',
]


def lay_out(sample: Path, root: Path) -> None:
    """Links that give the sample, in ``root/data``, the names that files of COCO have."""
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
    targets |= {root / 'pictures' / path.name: path for path in sample.glob('*.jpg')}
    for link, target in targets.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def epochs(number: int) -> list[str]:
    """Options that train this long, with a tenth of it to warm up, saving once at the end."""
    return [
        *LOADER,
        f'train_cfg.max_epochs={number}',
        f'param_scheduler.0.end={number // 10}',
        f'param_scheduler.1.end={number}',
        f'default_hooks.checkpoint.interval={number}',
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'sample',
        type=Path,
        help="folder with pictures, test_coco.json and test_coco_det_AP_H_56.json (MMPose's "
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
    lay_out(sample, root)
    print('Learn the people by heart')
    commands.train(
        *('mmpose', POSE, 'pose'),
        [
            *(*MODEL, *STEPS, *epochs(args.epochs)),
            'train_dataloader.batch_size=12',
            'optim_wrapper.optimizer.lr=2e-3',
            f'param_scheduler.1.milestones=[{args.epochs * 3 // 4}]',
        ],
    )
    boxes = {
        'ground-truth boxes': ['test_dataloader.dataset.bbox_file='],
        "the sample's detector boxes": [],
    }
    for title, options in boxes.items():
        metrics = commands.test('mmpose', POSE, 'pose', [*MODEL, *options])
        print(f'{title}: AP {metrics["coco/AP"]:.3f}, AP75 {metrics["coco/AP .75"]:.3f}')

    print('Learn to detect them, and draw their skeletons')
    detector = ['train_dataloader.batch_size=4', *epochs(args.epochs)]
    commands.train('mmdet', DETECTOR, 'detector', detector)
    # Training has left its configs, with our changes, beside its checkpoints.
    configs = ['--detector', f'detector/{DETECTOR.name}', '--pose', f'pose/{POSE.name}']
    commands.call('infer', 'python', HERE / 'infer.py', *configs, '--pictures', 'pictures')
    print(f'Pictures in {root}: skeletons.jpg, heatmaps.jpg')


if __name__ == '__main__':
    main()
