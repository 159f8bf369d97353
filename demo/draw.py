"""Apply a model of demo/tasks.py to new images, and draw what it predicts."""

import argparse
from pathlib import Path

import cv2
from pictures import SCORE, read_images, sheet, write_images


def detect(config: str, weights: str, images: list[str], folder: str) -> None:
    """Draw boxes, into ``folder/vis``."""
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(model=config, weights=weights)
    inferencer(images, out_dir=folder, pred_score_thr=SCORE, no_save_pred=True)


def segment(config: str, weights: str, images: list[str], folder: str) -> None:
    """Draw classes of pixels, into ``folder/vis``."""
    from mmseg.apis import MMSegInferencer

    inferencer = MMSegInferencer(model=config, weights=weights)
    inferencer(images, out_dir=folder, opacity=0.5, with_labels=False)


def classify(config: str, weights: str, images: list[str], folder: str) -> None:
    """Write classes into images, into ``folder/vis``."""
    from mmpretrain import ImageClassificationInferencer

    inferencer = ImageClassificationInferencer(model=config, pretrained=weights)
    inferencer(images, show_dir=f'{folder}/vis')


DRAW = dict(mmdet=detect, mmseg=segment, mmpretrain=classify)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('package', choices=DRAW, help='of the config')
    parser.add_argument('config')
    parser.add_argument('weights')
    parser.add_argument('--out', type=Path, required=True, help='folder for the images')
    args = parser.parse_args()

    images = [str(path) for path in write_images(Path('images'))]
    DRAW[args.package](args.config, args.weights, images, str(args.out))
    drawn = sorted(path for path in (args.out / 'vis').iterdir())
    cv2.imwrite(f'{args.out}.jpg', sheet(read_images(drawn)))


if __name__ == '__main__':
    main()
