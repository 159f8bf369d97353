"""Write a dataset of kites, with five keypoints of their own: for the documentation.

python demo/kites.py FOLDER [--labelme FOLDER]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

KEYPOINTS = ['tip', 'left_wing', 'right_wing', 'keel', 'tail_end']
SKELETON = [[1, 2], [2, 4], [4, 3], [3, 1], [4, 5]]
SHAPE = np.array([[0, -1], [-0.6, -0.2], [0.6, -0.2], [0, 1], [0.3, 1.8]])
SIZE = 160, 160
# How far annotators differ, relative to the kite's size: little at the tip, much at the tail's end
SPREAD = np.array([0.01, 0.02, 0.02, 0.02, 0.05])


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image (h, w, 3), BGR, of one kite in the sky; return its keypoints (5, 2), too."""
    width, height = SIZE
    top, bottom = rng.integers(120, 230, (2, 3))
    shade = np.linspace(0, 1, height)[:, None, None]
    image = ((1 - shade) * top + shade * bottom) * np.ones((1, width, 1))
    image = (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
    angle, size = rng.uniform(-0.6, 0.6), rng.uniform(20, 32)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shape = SHAPE * [rng.uniform(0.8, 1.2), 1]
    shape[-1, 0] += rng.uniform(-0.5, 0.2)  # the wind
    middle = rng.uniform([60, 55], [100, 95])
    points = middle + size * shape @ turn.T
    tip, left, right, keel, tail = points.round().astype(int)
    one, other = rng.integers(0, 110, (2, 3)).tolist()
    cv2.fillPoly(image, [np.array([tip, left, keel])], one, cv2.LINE_AA)
    cv2.fillPoly(image, [np.array([tip, right, keel])], other, cv2.LINE_AA)
    cv2.line(image, keel, tail, one, 2, cv2.LINE_AA)
    cv2.circle(image, tail, 3, other, -1, cv2.LINE_AA)
    return image, points


def annotation(number: int, points: np.ndarray) -> dict[str, Any]:
    """Return the annotation of an image's kite in COCO's format."""
    low, high = points.min(axis=0) - 4, points.max(axis=0) + 4
    labelled = np.concatenate([points, np.full((5, 1), 2)], axis=1)
    return dict(
        id=number,
        image_id=number,
        category_id=1,
        keypoints=labelled.round(2).ravel().tolist(),
        num_keypoints=5,
        bbox=[*low.tolist(), *(high - low).tolist()],
        area=float((high - low).prod()) / 2,
        iscrowd=0,
    )


def write(path: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> None:
    """Write an annotation file in COCO's format."""
    category = dict(id=1, name='kite', keypoints=KEYPOINTS, skeleton=SKELETON)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dict(images=images, annotations=annotations, categories=[category])
    path.write_text(json.dumps(content))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument(
        '--labelme', type=Path, metavar='FOLDER', help='write it there as LabelMe does, too'
    )
    args = parser.parse_args()
    folder = args.folder
    rng = np.random.default_rng(0)
    for split, first, count in (('train', 1, 160), ('val', 1001, 20)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        images, annotations, repeated = [], [], []
        for number in range(first, first + count):
            image, points = draw(rng)
            images.append(
                dict(id=number, file_name=f'{number}.jpg', width=SIZE[0], height=SIZE[1])
            )
            cv2.imwrite(str(folder / split / f'{number}.jpg'), image)
            annotations.append(annotation(number, points))
            scale = np.sqrt(annotations[-1]['area'])
            other = points + scale * SPREAD[:, None] * rng.normal(size=(5, 2))
            repeated.append(annotation(number, other))
        write(folder / f'annotations/{split}.json', images, annotations)
        if split == 'train':
            write(folder / 'annotations/train_again.json', images, repeated)
    print(f'wrote 180 images to {folder}')
    if args.labelme is not None:
        from hrnet_plugin.apis import export_dataset

        for split in ('train', 'val'):
            export_dataset(folder / f'annotations/{split}.json', args.labelme / split, 'labelme')


if __name__ == '__main__':
    main()
