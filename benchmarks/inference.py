"""Poses in a clip: 200 frames of 4 people, boxes given, Lite-HRNet-18 256x192, no flip test."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData
from mmpose.apis import MMPoseInferencer
from timing import compare, ratio_table, use_threads

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.datasets import scene_of

CONFIG = (
    Path(__file__).parent.parent
    / 'configs/body_2d_keypoint/topdown_heatmap/coco'
    / 'td-hm_litehrnet-18_8xb64-210e_coco-256x192.py'
)
SIZE = (640, 480)
PEOPLE = 4
# Frames of a turn; ours and stock see every frame once.
TURNS, FRAMES_PER_TURN = 10, 20
Clip = list[tuple[np.ndarray, np.ndarray]]


class KnownBoxes:
    """Stand in for stock's detector: return known boxes at no cost."""

    def __init__(self, boxes: Iterator[np.ndarray]) -> None:
        self.boxes = boxes

    def __call__(self, image: np.ndarray, **_: Any) -> dict[str, list[DetDataSample]]:
        boxes = torch.from_numpy(next(self.boxes))
        sample = DetDataSample()
        sample.pred_instances = InstanceData(
            bboxes=boxes, scores=torch.ones(len(boxes)), labels=torch.zeros(len(boxes)).long()
        )
        return dict(predictions=[sample])


def make_clip(turns: int, frames: int) -> Clip:
    """Make frames and their boxes (4, 4): scenes of four people that move to the right."""
    clip: Clip = []
    for scene in islice(scenes(), turns):
        x, y, w, h = np.array([a['bbox'] for a in scene.annotations], np.float32).T
        for i in range(frames):
            boxes = np.stack([x + 2 * i, y, x + w + 2 * i, y + h], axis=1)
            clip.append((np.roll(scene.image, 2 * i, axis=1), boxes))
    return clip


def scenes() -> Iterator[Any]:
    index = 0
    while True:
        scene = scene_of(3, 'val', index, SIZE)
        if [a['iscrowd'] for a in scene.annotations] == [0] * PEOPLE:
            yield scene
        index += 1


def make_runs(
    device: str = 'cpu', turns: int = TURNS, frames: int = FRAMES_PER_TURN
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return functions that estimate the poses of a clip's next frames: ours, and stock's.

    Args:
        device: Device of torch.
        turns: How many turns the clip lasts; then it starts again.
        frames: How many frames make a turn.
    """
    cfg = Config.fromfile(CONFIG)
    cfg.model.test_cfg.flip_test = False
    clip = make_clip(turns, frames)
    # The report goes to stdout, without what loaders print.
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        weights = f'{folder}/random.pth'
        with DefaultScope.overwrite_default_scope('mmpose'):
            torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), weights)
        ours = PoseInferencer(cfg, weights, device=device)
        stock = MMPoseInferencer(
            pose2d=cfg, pose2d_weights=weights, device=device, det_model='whole_image'
        )
    stock.inferencer.det_cat_ids = (0,)
    # Ours and stock walk through the clip independently.
    our_clip, stock_clip = cycle(clip), cycle(clip)

    def run_ours() -> None:
        images, boxes = zip(*islice(our_clip, frames))
        check(ours(list(images), bboxes=list(boxes)), frames)

    def run_stock() -> None:
        images, boxes = zip(*islice(stock_clip, frames))
        stock.inferencer.detector = KnownBoxes(iter(boxes))
        check(stock(list(images), nms_thr=1.0), frames)

    return run_ours, run_stock


def main() -> None:
    use_threads()
    ratio = compare(*make_runs(), repeats=TURNS, warm_up=1)
    print('## Inference\n')
    print(__doc__.splitlines()[0], '\n')
    print(
        f'By turns of {FRAMES_PER_TURN} frames. Stock is MMPoseInferencer with a stub of a '
        f'detector that returns the boxes at no cost. Ours: '
        f'{FRAMES_PER_TURN * PEOPLE / ratio.ours_s:.1f} people per second.\n'
    )
    name = f'{FRAMES_PER_TURN} frames, {FRAMES_PER_TURN * PEOPLE} people'
    print(ratio_table({name: ratio}, {name: 2.0}))


def check(results: Iterator[dict[str, Any]], frames: int) -> None:
    people = [len(result['predictions'][0]) for result in results]
    assert people == [PEOPLE] * frames


if __name__ == '__main__':
    main()
