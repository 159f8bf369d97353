"""Real pictures: learn a handful of COCO pictures by heart, and check that all comes out right.

A model that has seen a picture a few hundred times must find its people exactly; if it does not,
something between the annotation and the drawn skeleton is wrong.
"""

import argparse
import json
from pathlib import Path

from commands import Commands

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parent / 'configs'
DETECTOR = CONFIGS / 'demo' / 'rtmdet-tiny_person.py'
POSE = CONFIGS / 'body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
# One batch an epoch, in this process
LOADER = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
# A small arch from random weights, and pictures as they are: random steps never happen
BY_HEART = [
    *LOADER,
    'train_dataloader.batch_size=12',
    'model.backbone.arch=w18-small-v1',
    'model.backbone.init_cfg=None',
    'model.head.in_channels=16',
    'train_dataloader.dataset.pipeline.2.prob=0',
    'train_dataloader.dataset.pipeline.3.prob=0',
    'train_dataloader.dataset.pipeline.4.shift_prob=0',
    'train_dataloader.dataset.pipeline.4.scale_prob=0',
    'train_dataloader.dataset.pipeline.4.rotate_prob=0',
    'optim_wrapper.optimizer.lr=2e-3',
    'param_scheduler.0.end=20',
]


def lay_out(sample: Path, root: Path) -> None:
    """Links that give the sample the names that files of COCO have."""
    links = {
        'annotations/person_keypoints_train2017.json': 'test_coco.json',
        'annotations/person_keypoints_val2017.json': 'test_coco.json',
        'train2017': '',
        'val2017': '',
        'person_detection_results/COCO_val2017_detections_AP_H_56_person.json': (
            'test_coco_det_AP_H_56.json'
        ),
    }
    for name, target in links.items():
        link = root / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(sample / target)


def epochs(number: int) -> list[str]:
    """Options that train this long, evaluating and saving only at the end."""
    return [
        f'train_cfg.max_epochs={number}',
        f'train_cfg.val_interval={number}',
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
    parser.add_argument('--epochs', type=int, default=400, help='default: %(default)s')
    args = parser.parse_args()
    sample, root = args.sample.resolve(), args.work_dir.resolve()
    if not (sample / 'test_coco.json').exists():
        parser.error(f'{sample} has no test_coco.json')

    commands = Commands(root, coco_root=root / 'coco')
    lay_out(sample, commands.coco_root)
    print('Learn the people by heart')
    milestones = [
        f'param_scheduler.1.end={args.epochs}',
        f'param_scheduler.1.milestones=[{args.epochs * 3 // 4}]',
    ]
    commands.train('mmpose', POSE, 'pose', [*BY_HEART, *milestones, *epochs(args.epochs)])
    model = [option for option in BY_HEART if option.startswith('model.')]
    results = {
        'ground-truth boxes': [*model, 'test_dataloader.dataset.bbox_file='],
        'detector boxes of the sample': model,
    }
    for title, options in results.items():
        metrics = commands.test('mmpose', POSE, 'pose', options)
        print(f'{title}: AP {metrics["coco/AP"]:.3f}, AP75 {metrics["coco/AP .75"]:.3f}')
        (root / f'{title.split()[0]}.json').write_text(json.dumps(metrics))


if __name__ == '__main__':
    main()
