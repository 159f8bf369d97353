"""Apply the demo's detector and pose model to new pictures, through stock MMPoseInferencer."""

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
from mmpose.apis import MMPoseInferencer
from tqdm import tqdm

from hrnet_plugin.datasets import scene_of

# Of a seed that training and evaluation do not use, and larger, to be pleasant to look at
SEED, NUM_PICTURES, SIZE = 2, 12, (640, 480)
COLUMNS = 4


def draw_pictures(folder: Path) -> None:
    """Write pictures that neither model has seen."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(NUM_PICTURES):
        cv2.imwrite(str(folder / f'{i:02}.jpg'), scene_of(SEED, 'val', i, SIZE).image)


def sheet(paths: list[Path]) -> np.ndarray:
    """All pictures on one, in rows of COLUMNS."""
    images = [np.asarray(cv2.imread(str(path))) for path in paths]
    rows = math.ceil(len(images) / COLUMNS)
    height, width = images[0].shape[:2]
    page = np.full((rows * height, COLUMNS * width, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = i // COLUMNS * height, i % COLUMNS * width
        page[y : y + height, x : x + width] = image
    return cv2.resize(page, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=Path, help='where demo/run.py works')
    parser.add_argument('--detector', required=True, help='config of the person detector')
    parser.add_argument('--pose', required=True, help='config of the pose model')
    args = parser.parse_args()

    pictures = args.root / 'pictures'
    draw_pictures(pictures)
    inferencer = MMPoseInferencer(
        pose2d=args.pose,
        pose2d_weights=str(args.root / 'pose.pth'),
        det_model=args.detector,
        det_weights=str(args.root / 'detector.pth'),
        det_cat_ids=[0],
    )
    for name, heatmaps in (('skeletons', False), ('heatmaps', True)):
        out = args.root / name
        results = inferencer(
            str(pictures),
            bbox_thr=0.5,
            draw_heatmap=heatmaps,
            radius=4,
            thickness=2,
            vis_out_dir=str(out),
            pred_out_dir=str(args.root / 'predictions'),
        )
        for _ in tqdm(results, total=NUM_PICTURES, unit='image', desc=name):
            pass
        cv2.imwrite(f'{out}.jpg', sheet(sorted(out.glob('*.jpg'))))


if __name__ == '__main__':
    main()
