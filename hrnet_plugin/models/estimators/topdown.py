"""Top-down estimator: stock MMPose's, with a faster flip test and checks when it is built."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmpose.models.pose_estimators import TopdownPoseEstimator as StockTopdownPoseEstimator
from mmpose.structures import PoseDataSample
from torch import Tensor

from ...codecs import shift_error
from ...registry import MODELS, strict_options
from ...utils.errors import unknown_name
from ..backbones.base import ParallelStreamBackbone
from ..heads import HeatmapHead

TEST_OPTIONS = ('output_keypoint_indices',)


@MODELS.register_module()
@strict_options
class TopdownPoseEstimator(StockTopdownPoseEstimator):
    """Stock's estimator, whose flip test runs both orientations as one batch.

    Raises:
        ValueError: an option of ``train_cfg`` or ``test_cfg`` is unknown, or the head's
            ``in_channels`` are not those of the backbone's stream, or the flip test shifts
            heatmaps that follow UDP.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        neck: dict[str, Any] | None = None,
        head: dict[str, Any] | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        metainfo: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            backbone, neck, head, train_cfg, test_cfg, data_preprocessor, init_cfg, metainfo
        )
        # Heads and backbones of other packages do not say what fits them.
        if isinstance(self.head, HeatmapHead):
            check_options('train_cfg', train_cfg, self.head.train_options)
            check_options('test_cfg', test_cfg, (*self.head.test_options, *TEST_OPTIONS))
            if error := shift_error(self.head.decoder, self.test_cfg):
                raise ValueError(error)
            if not self.with_neck and isinstance(self.backbone, ParallelStreamBackbone):
                self.head.check_channels(self.backbone.out_channels)

    def predict(self, inputs: Tensor, data_samples: list[PoseDataSample]) -> list[PoseDataSample]:
        """Predict keypoints in pixels of the pictures.

        Args:
            inputs: pictures, (N, 3, H, W).
            data_samples: N samples, each with the place of its crop in the picture.

        Returns:
            The samples, each with ``pred_instances`` and, if asked for, ``pred_fields``.
        """
        if not self.test_cfg.get('flip_test', False):
            return super().predict(inputs, data_samples)
        both = self.extract_feat(torch.cat([inputs, inputs.flip(-1)]))
        plain, mirrored = zip(*(x.split(len(inputs)) for x in both))
        predictions = self.head.predict([plain, mirrored], data_samples, test_cfg=self.test_cfg)
        instances, fields = predictions if isinstance(predictions, tuple) else (predictions, None)
        return self.add_pred_to_datasample(instances, fields, data_samples)


def check_options(where: str, cfg: Mapping[str, Any] | None, valid: Sequence[str]) -> None:
    """Raise a ValueError if ``cfg`` has an option that nothing reads."""
    for name in cfg or ():
        if name not in valid:
            raise ValueError(unknown_name(f'option in {where}', name, valid))
