"""Poses in a clip: frames of 4 people, boxes given, crops of 256x192, no flip test."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import mmdet
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData
from mmpose.apis import MMPoseInferencer
from timing import compare, ratio_table, use_threads
from torch import nn

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.apis.inference.export import export_files
from hrnet_plugin.apis.inference.export_detector import export_detector_file
from hrnet_plugin.datasets import scene_of
from hrnet_plugin.environment.cpu import has_bfloat16

CONFIGS = Path(__file__).parent.parent / 'configs/body_2d_keypoint/topdown_heatmap/coco'
LITE = CONFIGS / 'td-hm_litehrnet-18_8xb64-210e_coco-256x192.py'
W32 = CONFIGS / 'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
SIZE = (640, 480)
PEOPLE = 4
# Frames of a turn; ours and stock see every frame once.
TURNS, FRAMES_PER_TURN = 10, 20
SPEED = 2  # pixels a frame
Clip = list[tuple[np.ndarray, np.ndarray]]


class KnownBoxes:
    """Stand in for stock's detector: return known boxes, at no cost or after detecting others.

    Args:
        boxes: Boxes (4, 4) of each frame.
        detector: Stock's, whose random weights detect nothing of use.
    """

    def __init__(self, boxes: Iterator[np.ndarray], detector: Any = None) -> None:
        self.boxes = boxes
        self.detector = detector

    def __call__(self, image: np.ndarray, **options: Any) -> dict[str, list[DetDataSample]]:
        if self.detector is not None:
            self.detector(image, **options)
        boxes = torch.from_numpy(next(self.boxes))
        sample = DetDataSample()
        sample.pred_instances = InstanceData(
            bboxes=boxes, scores=torch.ones(len(boxes)), labels=torch.zeros(len(boxes)).long()
        )
        return dict(predictions=[sample])


class OurKnownBoxes:
    """As :class:`KnownBoxes`, for ours: detect, and return known boxes."""

    def __init__(self, boxes: Iterator[np.ndarray], detector: Any) -> None:
        self.boxes = boxes
        self.detector = detector

    def __call__(self, frames: Sequence[Any], *options: float) -> Iterator[np.ndarray]:
        for _, boxes in zip(self.detector(frames, *options), self.boxes):
            yield np.column_stack([boxes, np.ones(len(boxes), np.float32)])


def make_clip(turns: int, frames: int) -> Clip:
    """Make frames and their boxes (4, 4): scenes of four people that move to the right."""
    clip: Clip = []
    for scene in islice(scenes(), turns):
        x, y, w, h = np.array([a['bbox'] for a in scene.annotations], np.float32).T
        for i in range(frames):
            boxes = np.stack([x + SPEED * i, y, x + w + SPEED * i, y + h], axis=1)
            clip.append((np.roll(scene.image, SPEED * i, axis=1), boxes))
    return clip


def scenes() -> Iterator[Any]:
    index = 0
    while True:
        scene = scene_of(3, 'val', index, SIZE)
        people = scene.annotations
        right = max((a['bbox'][0] + a['bbox'][2] for a in people), default=0)
        stays = right + SPEED * FRAMES_PER_TURN <= SIZE[0]
        if [a['iscrowd'] for a in people] == [0] * PEOPLE and stays:
            yield scene
        index += 1


Runs = tuple[dict[str, Callable[[], None]], Callable[[], None]]


def make_runs(
    config: Path = LITE,
    device: str = 'cpu',
    turns: int = TURNS,
    frames: int = FRAMES_PER_TURN,
    exported: Sequence[Mapping[str, Any]] = (),
    detector: str | None = None,
) -> Runs:
    """Return what estimates the poses of a clip's next frames: ours, by name, and stock's.

    Args:
        config: Config of the pose model.
        device: Device of torch.
        turns: How many turns the clip lasts; then it starts again.
        frames: How many frames make a turn.
        exported: For each run of the exported model, options of PoseInferencer.
        detector: Config of a detector that runs, too, exported where the pose model is.
    """
    cfg = Config.fromfile(config)
    cfg.model.test_cfg.flip_test = False
    clip = make_clip(turns, frames)
    # The report goes to stdout, without what loaders print.
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        weights = save_random(cfg, 'mmpose', f'{folder}/pose.pth')
        by_torch: dict[str, Any] = {}
        by_export: dict[str, Any] = {}
        if detector:
            det_cfg = Config.fromfile(detector)
            # Random weights would let tens of thousands of candidates through.
            det_cfg.model.test_cfg.update(score_thr=0.05, nms_pre=1000, max_per_img=100)
            detector = f'{folder}/detector.py'
            det_cfg.dump(detector)
            det_weights = save_random(det_cfg, 'mmdet', f'{folder}/detector.pth')
            by_torch = dict(det_model=detector, det_weights=det_weights)
        ours = {'PyTorch': PoseInferencer(cfg, weights, device=device, **by_torch)}
        if exported:
            export_files(cfg, weights, f'{folder}/pose.onnx')
        if exported and detector:
            export_detector_file(detector, det_weights, f'{folder}/detector.onnx')
            by_export = dict(det_model=f'{folder}/detector.onnx')
        for options in exported:
            inferencer = PoseInferencer(
                f'{folder}/pose.onnx', device=device, **by_export, **options
            )
            ours[f'exported, {inferencer.pose.backend_name}'] = inferencer
        stock_detector = by_torch or dict(det_model='whole_image')
        stock = MMPoseInferencer(
            pose2d=cfg, pose2d_weights=weights, device=device, **stock_detector
        )
    stock.inferencer.det_cat_ids = (0,)
    stock_clip = cycle(clip)
    detect = stock.inferencer.detector if detector else None

    def run_stock() -> None:
        images, boxes = zip(*islice(stock_clip, frames))
        stock.inferencer.detector = KnownBoxes(iter(boxes), detect)
        check(stock(list(images), nms_thr=1.0), frames)

    # Each walks through the clip on its own.
    runs: dict[str, Callable[[], None]] = {
        name: partial(run_ours, inferencer, inferencer.detector, cycle(clip), frames)
        for name, inferencer in ours.items()
    }
    return runs, run_stock


def save_random(cfg: Config, scope: str, path: str) -> str:
    """Save random weights of a config's model; return the path."""
    cfg.model.backbone.pop('init_cfg', None)  # pretrained weights
    with DefaultScope.overwrite_default_scope(scope):
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
    if scope == 'mmdet':  # without this, all scores are nearly equal
        for conv in (*model.bbox_head.rtm_cls, *model.bbox_head.rtm_reg):
            nn.init.normal_(conv.weight, std=0.5)
            nn.init.constant_(conv.bias, -6.0)
    meta = {}
    if scope == 'mmdet':
        others = (f'class {i}' for i in range(1, model.bbox_head.num_classes))
        meta['dataset_meta'] = dict(classes=('person', *others))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


def run_ours(inferencer: PoseInferencer, detector: Any, clip: Iterator[Any], frames: int) -> None:
    images, boxes = zip(*islice(clip, frames))
    if detector is None:
        check(inferencer(list(images), bboxes=list(boxes)), frames)
    else:
        known: Any = OurKnownBoxes(iter(boxes), detector)
        inferencer.detector = known
        check(inferencer(list(images), nms_thr=1.0), frames)


def main() -> None:
    use_threads()
    print('## Inference\n')
    print(__doc__.splitlines()[0], '\n')
    print(
        f'By turns of {FRAMES_PER_TURN} frames of {SIZE[0]}x{SIZE[1]}, '
        f'{FRAMES_PER_TURN * PEOPLE} people; {TURNS} turns for Lite-HRNet-18, 3 with others. '
        'Stock is MMPoseInferencer with a stub of a detector that returns the boxes at no cost. '
        'Weights are random, so that with RTMDet-tiny (640x640) both sides detect and then take '
        'known boxes. The first exported one of each model has `runtime="auto"`: the fastest that '
        'gives the same keypoints.\n'
    )
    auto, bfloat16 = dict(runtime='auto'), dict(runtime='openvino', precision='bfloat16')
    both = [auto, bfloat16] if has_bfloat16() else [auto]
    configs = Path(mmdet.__file__).parent / '.mim/configs'
    rtmdet = str(configs / 'rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    cases: dict[str, tuple[Path, int, list[dict[str, Any]], str | None]] = {
        'Lite-HRNet-18': (LITE, TURNS, [auto], None),
        'HRNet-W32': (W32, 3, both, None),
        'RTMDet-tiny and Lite-HRNet-18': (LITE, 3, [auto], rtmdet),
        'RTMDet-tiny and HRNet-W32': (W32, 3, both, rtmdet),
    }
    ratios, targets = {}, {}
    for models, (config, turns, exported, detector) in cases.items():
        ours, stock = make_runs(config, turns=turns, exported=exported, detector=detector)
        for name, run in ours.items():
            print(f'{models}: {name} …', file=sys.stderr, flush=True)
            ratios[f'{models}, {name}'] = compare(run, stock, repeats=turns, warm_up=1)
            goal = 3.0 if detector else 4.0
            targets[f'{models}, {name}'] = 2.0 if name == 'PyTorch' else goal
    print(ratio_table(ratios, targets))


def check(results: Iterator[dict[str, Any]], frames: int) -> None:
    people = [len(result['predictions'][0]) for result in results]
    assert people == [PEOPLE] * frames


if __name__ == '__main__':
    main()
