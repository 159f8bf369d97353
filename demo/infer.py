"""Detect people and estimate their poses in new images with MMPoseInferencer, and draw them.

To be run in the folder where demo/run.py or demo/real.py left ``detector.pth`` and ``pose.pth``.
"""

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
from mmpose.apis import MMPoseInferencer
from tqdm import tqdm

from hrnet_plugin.datasets import scene_of

# Larger synthetic images, of a seed that training and evaluation do not use
SEED, NUM_IMAGES, SIZE = 2, 12, (640, 480)
COLUMNS = 4


def write_images(folder: Path) -> None:
    """Write synthetic images that neither model has seen."""
    folder.mkdir(exist_ok=True)
    for i in range(NUM_IMAGES):
        cv2.imwrite(str(folder / f'{i:02}.jpg'), scene_of(SEED, 'val', i, SIZE).image)


def sheet(paths: list[Path]) -> np.ndarray:
    """Put images (H, W, 3) on one page, at half their size, in rows of COLUMNS."""
    images = [np.asarray(cv2.imread(str(path))) for path in paths]
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    rows, columns = math.ceil(len(images) / COLUMNS), min(len(images), COLUMNS)
    page = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = i // COLUMNS * height, i % COLUMNS * width
        page[y : y + image.shape[0], x : x + image.shape[1]] = image
    return cv2.resize(page, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


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
            bbox_thr=0.3,
            draw_heatmap=heatmaps,
            radius=4,
            thickness=2,
            vis_out_dir=name,
            pred_out_dir='predictions',
        )
        for _ in tqdm(results, total=number, unit='image', desc=name):
            pass  # the images are written meanwhile
        cv2.imwrite(f'{name}.jpg', sheet(sorted(Path(name).glob('*.jpg'))))


if __name__ == '__main__':
    main()
