"""A top-down pose estimator with its config's pipeline, for people of many pictures at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample, merge_data_samples

from ...models.fuse import fuse_norms
from ..inputs.sources import Frame
from .model_files import ModelConfig, config_errors, load_weights, read_model_config


class PoseModel:
    """A pose estimator.

    Args:
        model: config, file or name of a metafile.
        weights: checkpoint; the metafile's, if it is not given.
        device: as of torch.
        scope: package whose metafiles know the name, before this one's.

    Raises:
        OSError: a file is missing.
        ValueError: something does not fit.
    """

    def __init__(self, model: ModelConfig, weights: str | None, device: str, scope: str) -> None:
        scopes = list(dict.fromkeys([scope, 'hrnet_plugin']))
        self.cfg, named = read_model_config('pose2d', model, scopes)
        with config_errors('pose2d', model):
            check_topdown(self.cfg)
            if not isinstance(self.cfg.get('default_scope', ''), str | None):
                raise ValueError('its default_scope is no name of a package')
        weights = weights or named
        if weights is None:
            raise ValueError('pose2d_weights is missing: give the checkpoint of pose2d')
        self.scope = self.cfg.get('default_scope') or scope
        with DefaultScope.overwrite_default_scope(self.scope):
            with config_errors('pose2d', model):
                self.model = revert_sync_batchnorm(MODELS.build(self.cfg.model))
            meta = load_weights('pose2d_weights', self.model, weights)
            with config_errors('pose2d', model):
                self.dataset_meta = dataset_meta(self.cfg, meta)
                self.pipeline = Compose(self.cfg.test_dataloader.dataset.pipeline)
        self.check_keypoints()
        width, height = self.input_size
        self.model = fuse_norms(self.model.eval(), torch.rand(1, 3, height, width)).to(device)
        if torch.device(device).type == 'cpu':
            # oneDNN's convolutions take up to half as long. On a GPU it was not measured.
            self.model.to(memory_format=torch.channels_last)

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of crops, as the test pipeline makes them."""
        # A head need not have a decoder: stock's VisPredictHead wraps one that has.
        sizes = [getattr(step, 'input_size', None) for step in self.pipeline.transforms]
        width, height = next(size for size in reversed(sizes) if size is not None)
        return int(width), int(height)

    @property
    def num_keypoints(self) -> int:
        """How many keypoints a result has."""
        chosen = self.model.test_cfg.get('output_keypoint_indices')
        return self.dataset_meta['num_keypoints'] if chosen is None else len(chosen)

    @property
    def sigmas(self) -> np.ndarray:
        """(K,), as of OKS."""
        chosen = self.model.test_cfg.get('output_keypoint_indices')
        sigmas = np.asarray(self.dataset_meta['sigmas'], np.float64)
        return sigmas if chosen is None else sigmas[chosen]

    def check_keypoints(self) -> None:
        """Raise a ValueError unless the head finds what the data set names."""
        channels = getattr(self.model.head, 'out_channels', None)
        named = self.dataset_meta['num_keypoints']
        chosen = self.model.test_cfg.get('output_keypoint_indices')
        if chosen is None and channels not in (None, named):
            raise ValueError(
                f'head.out_channels={channels}, but the data set has {named} keypoints: make '
                'them the same in pose2d'
            )

    def crop(self, frame: Frame, box: np.ndarray) -> dict[str, Any]:
        """Cut somebody out as the config's test pipeline does.

        Args:
            frame: picture.
            box: (5,), x1, y1, x2, y2, score.
        """
        box = np.asarray(box, np.float32)
        return self.pipeline(
            dict(
                img=frame.image,
                img_path=frame.name,
                bbox=box[None, :4],
                bbox_score=box[4:],
                **self.dataset_meta,
            )
        )

    @torch.inference_mode()
    def estimate(self, crops: Sequence[dict[str, Any]], heatmaps: bool) -> list[PoseDataSample]:
        """Poses of some people, in one forward.

        Args:
            crops: what ``crop`` returned.
            heatmaps: whether to keep them.
        """
        self.model.test_cfg['output_heatmaps'] = heatmaps
        return self.model.test_step(pseudo_collate(list(crops)))

    def merge(
        self, frame: Frame, people: Sequence[PoseDataSample], heatmaps: bool
    ) -> PoseDataSample:
        """All people of a picture as one sample, of length 0 if there is nobody."""
        if people:
            return merge_data_samples(list(people))
        size, keypoints = frame.image.shape[:2], self.num_keypoints
        sample = PoseDataSample(metainfo=dict(img_path=frame.name, ori_shape=size, img_shape=size))
        sample.pred_instances = InstanceData(
            keypoints=np.zeros((0, keypoints, 2), np.float32),
            keypoint_scores=np.zeros((0, keypoints), np.float32),
            keypoints_visible=np.zeros((0, keypoints), np.float32),
            bboxes=np.zeros((0, 4), np.float32),
            bbox_scores=np.zeros(0, np.float32),
        )
        if heatmaps:
            sample.pred_fields = PixelData(heatmaps=np.zeros((keypoints, *size), np.float32))
        return sample


def check_topdown(cfg: Any) -> None:
    """Raise a ValueError unless this is a config of a top-down pose estimator."""
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    mode = cfg.get('data_mode') or dataset.get('data_mode')
    kind = cfg.get('model', {}).get('type')
    if mode == 'topdown' and 'pipeline' in dataset:
        return
    if mode == 'bottomup':
        raise ValueError(
            f'pose2d finds poses without boxes (its model is {kind}): take MMPoseInferencer for '
            "it; here expected is data_mode='topdown'"
        )
    raise ValueError(
        f'pose2d is no config of a top-down pose estimator: its model is {kind}, its data_mode '
        f"{mode}; expected data_mode='topdown' and a test_dataloader"
    )


def dataset_meta(cfg: Any, meta: dict[str, Any]) -> dict[str, Any]:
    """Names, colours, flip pairs and sigmas of keypoints: the checkpoint's, or the config's.

    Raises:
        ValueError: neither says.
    """
    from mmpose.apis.inference import dataset_meta_from_config

    found = meta.get('dataset_meta') or dataset_meta_from_config(cfg, 'test')
    if not found or 'num_keypoints' not in found:
        raise ValueError(
            'neither pose2d_weights nor pose2d say what the keypoints are: add metainfo to '
            'test_dataloader.dataset of pose2d'
        )
    return found
