"""Detect people and estimate their poses in new images with MMPoseInferencer, and draw them.

To be run in the folder where demo/run.py or demo/real.py left ``detector.pth`` and ``pose.pth``.
"""

import argparse
from pathlib import Path

import cv2
from mmpose.apis import MMPoseInferencer
from pictures import SCORE, read_images, sheet, write_images
from tqdm import tqdm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--detector', required=True, help='config of the person detector')
    parser.add_argument('--pose', required=True, help='config of the pose model')
    parser.add_argument('--images', type=Path, help='a folder; default: new synthetic ones')
    args = parser.parse_args()

    if args.images is None:
        args.images = Path('images')
        write_images(args.images)
    number = len(list(args.images.glob('*.jpg')))
    inferencer = MMPoseInferencer(
        pose2d=args.pose,
        pose2d_weights='pose.pth',
        det_model=args.detector,
        det_weights='detector.pth',
        det_cat_ids=[0],
    )
    for name, heatmaps in (('skeletons', False), ('heatmaps', True)):
        results = inferencer(
            str(args.images),
            bbox_thr=SCORE,
            draw_heatmap=heatmaps,
            radius=4,
            thickness=2,
            vis_out_dir=name,
            pred_out_dir='predictions',
        )
        for _ in tqdm(results, total=number, unit='image', desc=name):
            pass  # the images are written meanwhile
        cv2.imwrite(f'{name}.jpg', sheet(read_images(sorted(Path(name).glob('*.jpg')))))


if __name__ == '__main__':
    main()
