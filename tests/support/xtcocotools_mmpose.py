"""What stock MMPose's metrics and datasets, which use ``xtcocotools``, make of scenes."""

import contextlib
import copy
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmpose
import numpy as np
from mmengine.logging import MessageHub
from mmpose.datasets import datasets
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import CocoMetric, CocoWholeBodyMetric

from .xtcocotools_scenes import COUNTS, Scene, keypoint_scene

META = Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets'
CROWD: dict[str, Any] = dict(iou_type='keypoints_crowd', score_mode='bbox')
# Dataset, its annotations' keypoints, whether it has areas, and the metric's options
SETTINGS: dict[str, tuple[str, int | None, bool, dict[str, Any]]] = {
    'COCO': ('coco', 17, True, dict()),
    'COCO, area of the box': ('coco', 17, False, dict(use_area=False)),
    'COCO without ann_file': ('coco', 17, True, dict(nms_mode='none', score_mode='keypoint')),
    'AI Challenger': ('aic', 14, False, dict(use_area=False, nms_mode='soft_oks_nms')),
    'CrowdPose': ('crowdpose', 14, False, dict(use_area=False, **CROWD)),
    'CrowdPose with area': ('crowdpose', 14, True, dict(**CROWD)),
    'CrowdPose without ann_file': ('crowdpose', 14, False, dict(use_area=False, **CROWD)),
    'COCO-WholeBody': ('coco_wholebody', None, True, dict()),
    'COCO-WholeBody, area of the box': ('coco_wholebody', None, True, dict(use_area=False)),
}
DATASETS = dict(
    coco='CocoDataset',
    aic='AicDataset',
    crowdpose='CrowdPoseDataset',
    coco_wholebody='CocoWholeBodyDataset',
)


def make_pose_scene(name: str, seed: int = 0) -> tuple[Scene, dict]:
    """Return a scene of this dataset, and its metainfo."""
    data, count, has_area, _ = SETTINGS[name]
    rng = np.random.default_rng([seed, *name.encode()])
    if count is None:
        scene = keypoint_scene(rng, COUNTS)
    else:
        scene = keypoint_scene(rng, crowded=data == 'crowdpose', count=count)
    for image in scene.gt['images']:
        image['file_name'] = f'{image["id"]}.jpg'
    for ann in scene.gt['annotations']:
        ann.setdefault('iscrowd', 0)
        ann.update(segmentation=[])  # datasets read more than is evaluated
        ann.update(foot_valid=1, face_valid=1, lefthand_valid=1, righthand_valid=1)
        if not has_area:
            del ann['area']
    meta = parse_pose_metainfo(dict(from_file=str(META / f'{data}.py')))
    return scene, meta | dict(CLASSES=scene.gt['categories'])


def metric_results(name: str, folder: Path) -> tuple[dict[str, float], list[str]]:
    """The numbers of the metric on predictions in MMPose's form, and its printed averages.

    COCO-WholeBody's metric only prints those of each part.
    """
    scene, meta = make_pose_scene(name)
    path = folder / 'annotations.json'
    path.write_text(json.dumps(scene.gt))
    options = {**SETTINGS[name][-1]}
    if 'without ann_file' not in name:
        options['ann_file'] = str(path)
    # The metric would take the file of the dataset that was built last in this process.
    MessageHub.get_current_instance().update_info(f'{meta["dataset_name"]}_ann_file', None)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        metric = (CocoWholeBodyMetric if 'Whole' in name else CocoMetric)(**options)
        metric.dataset_meta = meta
        samples = list(data_samples(scene))
        metric.process([], samples)
        found = metric.evaluate(len(samples))
    lines = [x for x in printed.getvalue().splitlines() if 'Average' in x or 'type *' in x]
    return {key: float(value) for key, value in found.items()}, lines


def data_samples(scene: Scene) -> Iterator[dict[str, Any]]:
    """One for each image with predictions, like a bottom-up model's."""
    for image in scene.gt['images']:
        dets = [det for det in scene.dt if det['image_id'] == image['id']]
        dets = [det for det in dets if det['category_id'] == 1]
        parts = [np.array([det[name] for det in dets]) for name in COUNTS if name in scene.dt[0]]
        if not dets:
            continue
        found = np.nan_to_num(np.concatenate(parts, axis=1).reshape(len(dets), -1, 3), nan=1000)
        anns = [ann for ann in scene.gt['annotations'] if ann['image_id'] == image['id']]
        yield dict(
            id=[ann['id'] for ann in anns],
            img_id=image['id'],
            ori_shape=(image['height'], image['width']),
            crowd_index=image['crowdIndex'],
            raw_ann_info=copy.deepcopy(anns),
            gt_instances={},
            pred_instances=dict(
                keypoints=found[..., :2],
                keypoint_scores=np.minimum(found[..., 2], 1),
                bbox_scores=np.array([det['score'] for det in dets]),
            ),
        )


def dataset_digest(name: str, folder: Path) -> str:
    """Digest of what the dataset loads from the annotations."""
    scene, _ = make_pose_scene(name)
    path = folder / 'annotations.json'
    path.write_text(json.dumps(scene.gt))
    kind = getattr(datasets, DATASETS[SETTINGS[name][0]])
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = kind(ann_file=str(path), lazy_init=True).load_data_list()
    keys = ('id', 'img_id', 'bbox', 'keypoints', 'keypoints_visible', 'num_keypoints', 'iscrowd')
    values = [[np.array(item[key]).tolist() for key in keys] for item in loaded]
    assert values
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
