"""People's boxes, from any detector of MMDetection."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmpose.evaluation.functional import nms

from ..inputs.sources import Frame
from .model_files import ModelConfig, config_errors, load_weights, read_model_config

LOADERS = ('LoadImageFromFile', 'LoadImageFromNDArray', 'InferencerLoader')


class Detector:
    """A detector and the classes that count.

    Args:
        model: config, file or name of a metafile.
        weights: checkpoint; the metafile's, if it is not given.
        cat_ids: numbers of classes. If not given, the class ``person``, or the only one.
        device: as of torch.

    Raises:
        OSError: a file is missing.
        ValueError: something does not fit.
    """

    def __init__(
        self,
        model: ModelConfig,
        weights: str | None,
        cat_ids: int | Sequence[int] | None,
        device: str,
    ) -> None:
        self.cfg, named = read_model_config('det_model', model, ['mmdet'])
        if 'model' not in self.cfg or 'test_dataloader' not in self.cfg:
            raise ValueError(
                f'det_model={model!r} is no config to test a detector with: it has no model or '
                'no test_dataloader'
            )
        if 'data_mode' in self.cfg.test_dataloader.dataset or 'data_mode' in self.cfg:
            raise ValueError(f'det_model={model!r} is of a pose estimator; expected a detector')
        weights = weights or named
        if weights is None:
            raise ValueError('det_weights is missing: give the checkpoint of det_model')
        with DefaultScope.overwrite_default_scope(self.cfg.get('default_scope', 'mmdet')):
            with config_errors('det_model', model):
                self.model = revert_sync_batchnorm(MODELS.build(self.cfg.model))
            meta = load_weights('det_weights', self.model, weights)
            self.classes = class_names(self.cfg, meta)
            self.cat_ids = check_cat_ids(cat_ids, self.classes)
            self.pipeline = Compose(pipeline_of(self.cfg))
        self.model.to(device).eval()

    @torch.inference_mode()
    def __call__(
        self, frames: Sequence[Frame], bbox_thr: float, nms_thr: float
    ) -> Iterator[np.ndarray]:
        """Find people in some pictures at once.

        Args:
            frames: pictures.
            bbox_thr: boxes with a score of at most this are dropped,
            nms_thr: and those that overlap a better one more than this.

        Yields:
            Of each picture boxes and scores, (N, 5): x1, y1, x2, y2, score.
        """
        packed = [self.pipeline(dict(img=f.image, img_id=f.index)) for f in frames]
        # Pictures of different sizes would be padded to the largest, which changes what is found.
        for _, alike in groupby(packed, key=lambda data: data['inputs'].shape):
            for sample in self.model.test_step(pseudo_collate(list(alike))):
                found = sample.pred_instances.cpu().numpy()
                boxes = np.column_stack([found.bboxes, found.scores])
                good = np.isin(found.labels, self.cat_ids) & (found.scores > bbox_thr)
                yield boxes[good][nms(boxes[good], nms_thr)]


def pipeline_of(cfg: Any) -> list[dict[str, Any]]:
    """The steps that a test picture goes through, beginning with one that is in memory.

    Raises:
        ValueError: they do not begin with loading a picture.
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


def class_names(cfg: Any, meta: dict[str, Any]) -> list[str]:
    """What the detector tells apart: as its checkpoint says, or else its config or data set.

    Raises:
        ValueError: nothing says so.
    """
    from mmdet.registry import DATASETS

    known = {k.lower(): v for k, v in (meta.get('dataset_meta') or meta).items()}
    if not known.get('classes'):
        dataset = cfg.test_dataloader.dataset
        defaults = getattr(DATASETS.get(dataset.type), 'METAINFO', {})
        known = {**defaults, **dataset.get('metainfo', {})}
    classes = known.get('classes')
    if not classes:
        raise ValueError('neither det_weights nor det_model say which classes there are')
    return [classes] if isinstance(classes, str) else list(classes)


def check_cat_ids(cat_ids: int | Sequence[int] | None, classes: Sequence[str]) -> list[int]:
    """Numbers of the classes that count.

    Raises:
        ValueError: there is no such class, or it is not clear which one counts.
    """
    listed = ', '.join(f'{i} {name}' for i, name in enumerate(classes))
    if cat_ids is None:
        if len(classes) == 1:
            return [0]
        if 'person' not in classes:
            raise ValueError(f'det_cat_ids is missing; classes of the detector: {listed}')
        return [list(classes).index('person')]
    numbers = [cat_ids] if isinstance(cat_ids, int) else list(cat_ids)
    for number in numbers:
        if number not in range(len(classes)):
            raise ValueError(
                f"det_cat_ids has {number!r}, which is none of the detector's classes: {listed}"
            )
    return numbers
