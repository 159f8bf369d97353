"""Poses in a clip: frames of 4 people, boxes given, crops of 256x192, no flip test."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
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
from hrnet_plugin.apis.inference.export import export_files
from hrnet_plugin.datasets import scene_of
from hrnet_plugin.environment.cpu import has_bfloat16

CONFIGS = Path(__file__).parent.parent / 'configs/body_2d_keypoint/topdown_heatmap/coco'
LITE = CONFIGS / 'td-hm_litehrnet-18_8xb64-210e_coco-256x192.py'
W32 = CONFIGS / 'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
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


Runs = tuple[dict[str, Callable[[], None]], Callable[[], None]]


def make_runs(
    config: Path = LITE,
    device: str = 'cpu',
    turns: int = TURNS,
    frames: int = FRAMES_PER_TURN,
    exported: Sequence[Mapping[str, Any]] = (),
) -> Runs:
    """Return what estimates the poses of a clip's next frames: ours, by name, and stock's.

    Args:
        config: Config of the pose model.
        device: Device of torch.
        turns: How many turns the clip lasts; then it starts again.
        frames: How many frames make a turn.
        exported: For each run of the exported model, options of PoseInferencer.
    """
    cfg = Config.fromfile(config)
    cfg.model.test_cfg.flip_test = False
    clip = make_clip(turns, frames)
    # The report goes to stdout, without what loaders print.
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        weights = f'{folder}/random.pth'
        with DefaultScope.overwrite_default_scope('mmpose'):
            torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), weights)
        ours = {'PyTorch': PoseInferencer(cfg, weights, device=device)}
        if exported:
            export_files(cfg, weights, f'{folder}/pose.onnx')
        for options in exported:
            inferencer = PoseInferencer(f'{folder}/pose.onnx', device=device, **options)
            ours[f'exported, {inferencer.pose.backend_name}'] = inferencer
        stock = MMPoseInferencer(
            pose2d=cfg, pose2d_weights=weights, device=device, det_model='whole_image'
        )
    stock.inferencer.det_cat_ids = (0,)
    stock_clip = cycle(clip)

    def run_stock() -> None:
        images, boxes = zip(*islice(stock_clip, frames))
        stock.inferencer.detector = KnownBoxes(iter(boxes))
        check(stock(list(images), nms_thr=1.0), frames)

    # Each walks through the clip on its own.
    return {
        name: partial(run_ours, each, cycle(clip), frames) for name, each in ours.items()
    }, run_stock


def run_ours(inferencer: PoseInferencer, clip: Iterator[Any], frames: int) -> None:
    images, boxes = zip(*islice(clip, frames))
    check(inferencer(list(images), bboxes=list(boxes)), frames)


def main() -> None:
    use_threads()
    print('## Inference\n')
    print(__doc__.splitlines()[0], '\n')
    print(
        f'By turns of {FRAMES_PER_TURN} frames, {FRAMES_PER_TURN * PEOPLE} people; {TURNS} turns '
        'for Lite-HRNet-18, 3 for HRNet-W32. Stock is MMPoseInferencer with a stub of a detector '
        'that returns the boxes at no cost. Weights are random. The first exported one of each '
        'model has `runtime="auto"`: the fastest that gives the same keypoints.\n'
    )
    auto, bfloat16 = dict(runtime='auto'), dict(runtime='openvino', precision='bfloat16')
    cases: dict[str, tuple[Path, int, list[dict[str, Any]]]] = {
        'Lite-HRNet-18': (LITE, TURNS, [auto]),
        'HRNet-W32': (W32, 3, [auto, bfloat16] if has_bfloat16() else [auto]),
    }
    ratios, targets = {}, {}
    for model, (config, turns, exported) in cases.items():
        ours, stock = make_runs(config, turns=turns, exported=exported)
        for name, run in ours.items():
            print(f'{model}: {name} …', file=sys.stderr, flush=True)
            ratios[f'{model}, {name}'] = compare(run, stock, repeats=turns, warm_up=1)
            targets[f'{model}, {name}'] = 2.0 if name == 'PyTorch' else 4.0
    print(ratio_table(ratios, targets))


def check(results: Iterator[dict[str, Any]], frames: int) -> None:
    people = [len(result['predictions'][0]) for result in results]
    assert people == [PEOPLE] * frames


if __name__ == '__main__':
    main()
