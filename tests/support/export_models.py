"""Small pose models to export."""

from typing import Any

import cv2
import numpy as np
import torch
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from torch import nn

from hrnet_plugin.datasets import scene_of
from hrnet_plugin.registry import MODELS

from .model_checks import SMALL

SIZE = (48, 64)  # (w, h) of crops
PREPROCESSOR = dict(
    type='mmpose.PoseDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)
# Three keypoints, two of which swap in a mirrored image
METAINFO = parse_pose_metainfo(
    dict(
        dataset_name='three',
        keypoint_info={
            0: dict(name='nose', id=0, color=[255, 0, 0], type='', swap=''),
            1: dict(name='left_eye', id=1, color=[0, 255, 0], type='', swap='right_eye'),
            2: dict(name='right_eye', id=2, color=[0, 0, 255], type='', swap='left_eye'),
        },
        skeleton_info={0: dict(link=('nose', 'left_eye'), id=0, color=[1, 2, 3])},
        joint_weights=[1.0, 1.0, 1.0],
        sigmas=[0.03, 0.02, 0.02],
    )
)


def codec_of(variant: str, **options: Any) -> dict[str, Any]:
    """Config of a codec for ``SIZE``."""
    heatmap_size = (SIZE[0] // 4, SIZE[1] // 4)
    return dict(
        type='hrnet_plugin.GaussianHeatmap',
        input_size=SIZE,
        heatmap_size=heatmap_size,
        sigma=2,
        variant=variant,
        **options,
    )


def pose_model(
    backbone: dict[str, Any],
    codec: dict[str, Any] | None = None,
    head: str = 'hrnet_plugin.HeatmapHead',
    mixing: bool | None = None,
    **test_cfg: Any,
) -> nn.Module:
    """Build an estimator in evaluation mode, with weights and statistics that are random.

    Args:
        backbone: Config of the backbone.
        codec: Config of the codec.
        head: Type of the head.
        mixing: Whether streams are concatenated, and then mixed or not; None: one stream is read.
        test_cfg: Options of the estimator.
    """
    torch.manual_seed(0)
    backbone = dict(backbone, multiscale_output=mixing is not None)
    built = MODELS.build(dict(backbone))
    channels, neck = built.out_channels[0], None
    if mixing is not None:
        neck = dict(type='hrnet_plugin.ConcatStreams', in_channels=built.out_channels)
        neck |= dict(mixing=mixing)
        channels = sum(built.out_channels)
    model = MODELS.build(
        dict(
            type='mmpose.TopdownPoseEstimator',
            data_preprocessor=PREPROCESSOR,
            backbone=backbone,
            neck=neck,
            head=dict(
                type=head,
                in_channels=channels,
                out_channels=3,
                decoder=codec or codec_of('msra'),
                **(dict(deconv_out_channels=None) if head.startswith('mmpose') else {}),
            ),
            test_cfg=test_cfg,
        )
    )
    for name, tensor in model.state_dict().items():
        if name.endswith('running_var'):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith('running_mean'):
            tensor.normal_(std=0.1)
    nn.init.normal_(model.head.final_layer.weight, std=0.1)
    return model.eval()


def small_backbone(structure: str) -> dict[str, Any]:
    """Config of the smallest backbone of a structure of ``model_checks``."""
    family, row = SMALL[structure]
    return dict(type=f'hrnet_plugin.{family}', extra=row.extra)


def rendered_crops(count: int) -> list[np.ndarray]:
    """Render images as crops of ``SIZE``, uint8, BGR."""
    images = (scene_of(5, 'train', i, (160, 213)).image for i in range(count))
    return [cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA) for image in images]
