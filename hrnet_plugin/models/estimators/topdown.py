"""Top-down estimator: stock MMPose's, with a flip test in one forward and checks when built."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmpose.models.pose_estimators import TopdownPoseEstimator as StockTopdownPoseEstimator
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.structures import PoseDataSample
from torch import Tensor

from ...registry import MODELS, strict_options
from ...utils.errors import unknown_name
from ..backbones.base import ParallelStreamBackbone
from ..heads import HeatmapHead
from ..necks.base import StreamNeck

TEST_OPTIONS = ('output_keypoint_indices',)


@MODELS.register_module()
@strict_options
class TopdownPoseEstimator(StockTopdownPoseEstimator):
    """Stock MMPose's estimator, except that the flip test runs both orientations as one batch.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck between backbone and head, if any.
        head: Config of the head.
        train_cfg: Options of the head's ``loss``: ``train_options`` of ``HeatmapHead``.
        test_cfg: Options of the head's ``predict``, ``test_options`` of ``HeatmapHead``, and
            ``output_keypoint_indices``, the keypoints that results keep.
        data_preprocessor: Config of what normalises and collates images.
        init_cfg: Initialisation of weights, as in MMEngine.
        metainfo: Metainfo of the dataset, or a dict that says in which file it is.

    Raises:
        ValueError: With ``HeatmapHead``, an option of ``train_cfg`` or ``test_cfg`` is unknown,
            channels do not fit between backbone, neck and head of this package, or the flip test
            shifts heatmaps that follow UDP.
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
        # Heads and backbones of other packages do not declare what fits them.
        if isinstance(self.head, HeatmapHead):
            check_options('train_cfg', train_cfg, self.head.train_options)
            check_options('test_cfg', test_cfg, (*self.head.test_options, *TEST_OPTIONS))
            codec = self.head.codec
            if codec and (error := codec.shift_error(self.test_cfg)):
                raise ValueError(error)
            check_channels(self)

    def predict(self, inputs: Tensor, data_samples: list[PoseDataSample]) -> list[PoseDataSample]:
        """Predict keypoints in pixels of the original images.

        Args:
            inputs: Crops (N, 3, H, W).
            data_samples: N samples, each with the position of its crop in the original image.

        Returns:
            The samples, each with ``pred_instances`` and, if ``test_cfg['output_heatmaps']``,
            ``pred_fields``.
        """
        if not self.test_cfg.get('flip_test', False):
            return super().predict(inputs, data_samples)
        both = self.extract_feat(torch.cat([inputs, inputs.flip(-1)]))
        plain, mirrored = zip(*(x.split(len(inputs)) for x in both))
        predictions = self.head.predict([plain, mirrored], data_samples, test_cfg=self.test_cfg)
        instances, fields = predictions if isinstance(predictions, tuple) else (predictions, None)
        return self.add_pred_to_datasample(instances, fields, data_samples)


def check_channels(model: BasePoseEstimator) -> None:
    """Raise a ValueError unless channels fit between backbone, neck and head.

    Heads, necks and backbones of other packages do not declare what fits them.
    """
    is_ours = isinstance(model.backbone, ParallelStreamBackbone)
    channels: Sequence[int] | None = model.backbone.out_channels if is_ours else None
    if model.with_neck:
        is_ours = isinstance(model.neck, StreamNeck)
        if is_ours and channels is not None:
            model.neck.check_channels(channels)
        channels = [model.neck.out_channels] * len(model.neck.out_strides) if is_ours else None
    if channels is not None and isinstance(getattr(model, 'head', None), HeatmapHead):
        model.head.check_channels(channels)


def check_options(where: str, cfg: Mapping[str, Any] | None, valid: Sequence[str]) -> None:
    """Raise a ValueError if ``cfg`` has an option that nothing reads."""
    for name in cfg or ():
        if name not in valid:
            raise ValueError(unknown_name(f'option in {where}', name, valid))
