"""Detect boxes of instances with any detector of MMDetection."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmpose.evaluation.functional import nms

from ..inputs.images import Frame
from .model_files import ModelConfig, config_errors, load_weights, read_model_config

LOADERS = ('LoadImageFromFile', 'LoadImageFromNDArray', 'InferencerLoader')


@dataclass(frozen=True)
class LoadedDetector:
    """A detector of MMDetection with its weights.

    Attributes:
        model: The detector.
        classes: Names of its classes.
        pipeline: Its test pipeline, for images that are in memory.
    """

    model: BaseModel
    classes: list[str]
    pipeline: Compose


def load_detector(model: ModelConfig, weights: str | None) -> LoadedDetector:
    """Load a detector on the CPU.

    Args:
        model: Config, path of one, or name in a metafile.
        weights: Checkpoint; by default the one in the metafile.

    Raises:
        OSError: A file does not exist or cannot be read.
        ValueError: The config is not of a detector, or files do not fit together.
    """
    cfg, default_weights = read_model_config('det_model', model, ['mmdet'])
    if 'model' not in cfg or 'test_dataloader' not in cfg:
        raise ValueError(
            f'det_model={model!r} is not a config to test a detector with: it has no model or no '
            'test_dataloader'
        )
    if 'data_mode' in cfg.test_dataloader.dataset or 'data_mode' in cfg:
        raise ValueError(f'det_model={model!r} is of a pose estimator; expected a detector')
    weights = weights or default_weights
    if weights is None:
        raise ValueError('det_weights is missing: give the checkpoint of det_model')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmdet')):
        with config_errors('det_model', model):
            detector = revert_sync_batchnorm(MODELS.build(cfg.model))
        meta = load_weights('det_weights', detector, weights)
        classes = class_names(cfg, meta)
        return LoadedDetector(detector.eval(), classes, Compose(pipeline_of(cfg)))


class Detector:
    """A detector, and the classes to use.

    Args:
        model: Config, path of one, or name in a metafile.
        weights: Checkpoint; by default the one in the metafile.
        cat_ids: Indices of classes; by default the class ``person``, or the only one.
        device: Device of torch.

    Raises:
        OSError: A file does not exist or cannot be read.
        ValueError: The config is not of a detector, files do not fit together, or a class is
            unknown.
    """

    def __init__(
        self,
        model: ModelConfig,
        weights: str | None,
        cat_ids: int | Sequence[int] | None,
        device: str,
    ) -> None:
        loaded = load_detector(model, weights)
        self.cat_ids = check_cat_ids(cat_ids, loaded.classes)
        self.model = loaded.model.to(device)
        self.pipeline = loaded.pipeline

    @torch.inference_mode()
    def __call__(
        self, frames: Sequence[Frame], bbox_thr: float, nms_thr: float
    ) -> Iterator[np.ndarray]:
        """Detect instances in a batch of images.

        Args:
            frames: Images.
            bbox_thr: Score up to which detections are dropped.
            nms_thr: IoU with a better detection above which detections are dropped.

        Yields:
            Boxes (N, 5) of each image: x1, y1, x2, y2 in pixels and a score.
        """
        packed = [self.pipeline(dict(img=f.image, img_id=f.index)) for f in frames]
        # Images of different sizes would be padded to the largest, which changes detections.
        for _, same_size in groupby(packed, key=lambda data: data['inputs'].shape):
            for sample in self.model.test_step(pseudo_collate(list(same_size))):
                found = sample.pred_instances.cpu().numpy()
                boxes = np.column_stack([found.bboxes, found.scores])
                yield select(boxes, found.labels, self.cat_ids, bbox_thr, nms_thr)


def select(
    boxes: np.ndarray,
    labels: np.ndarray,
    cat_ids: Sequence[int],
    bbox_thr: float,
    nms_thr: float,
) -> np.ndarray:
    """Select the detections of an image to use.

    Args:
        boxes: (N, 5), x1, y1, x2, y2 and a score.
        labels: Classes (N,).
        cat_ids: Classes to use.
        bbox_thr: Score up to which detections are dropped.
        nms_thr: IoU with a better detection above which detections are dropped.
    """
    keep = np.isin(labels, cat_ids) & (boxes[:, 4] > bbox_thr)
    return boxes[keep][nms(boxes[keep], nms_thr)]


def pipeline_of(cfg: Config) -> list[dict[str, Any]]:
    """Return the test pipeline of a detector, for images that are in memory.

    Raises:
        ValueError: It does not begin with loading an image.
    """
    from mmdet.utils import get_test_pipeline_cfg

    first, *rest = get_test_pipeline_cfg(cfg)
    if str(first['type']).split('.')[-1] not in LOADERS:
        raise ValueError(
            f'the test pipeline of det_model begins with {first["type"]}; expected '
            f'{" or ".join(LOADERS)}'
        )
    return [
        {**first, 'type': 'mmdet.LoadImageFromNDArray'},
        *(dict(step) for step in rest if 'Annotations' not in str(step['type'])),
    ]


def class_names(cfg: Config, meta: dict[str, Any]) -> list[str]:
    """Return the classes of a detector: its checkpoint's, or its config's or dataset's.

    Args:
        cfg: Config of the detector.
        meta: ``meta`` of its checkpoint.

    Raises:
        ValueError: None of them has classes.
    """
    from mmdet.registry import DATASETS

    known = {k.lower(): v for k, v in (meta.get('dataset_meta') or meta).items()}
    if not known.get('classes'):
        dataset = cfg.test_dataloader.dataset
        defaults = getattr(DATASETS.get(dataset.type), 'METAINFO', {})
        known = {**defaults, **dataset.get('metainfo', {})}
    classes = known.get('classes')
    if not classes:
        raise ValueError('neither det_weights nor det_model define the classes')
    return [classes] if isinstance(classes, str) else list(classes)


def check_cat_ids(cat_ids: int | Sequence[int] | None, classes: Sequence[str]) -> list[int]:
    """Return the indices of the classes to use.

    Args:
        cat_ids: Given indices; by default the class ``person``, or the only one.
        classes: Names of the detector's classes.

    Raises:
        ValueError: An index is out of range, or there is no default.
    """
    listed = ', '.join(f'{i} {name}' for i, name in enumerate(classes))
    if cat_ids is None:
        if len(classes) == 1:
            return [0]
        if 'person' not in classes:
            raise ValueError(f'det_cat_ids is missing; classes of the detector: {listed}')
        return [list(classes).index('person')]
    indices = [cat_ids] if isinstance(cat_ids, int) else list(cat_ids)
    for index in indices:
        if index not in range(len(classes)):
            raise ValueError(
                f"det_cat_ids has {index!r}; expected indices of the detector's classes: {listed}"
            )
    return indices
