"""Small detectors of MMDetection to export, and what MMDetection detects with them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import nn

from .random_models import build

SIZE = (96, 64)  # (w, h) of inputs
PAD_VALUE = (114, 113, 112)


def detector_config(
    classes: tuple[str, ...] = ('person',),
    head: dict[str, Any] | None = None,
    test_cfg: dict[str, Any] | None = None,
    scale: tuple[int, int] = (64, 64),
    pad: dict[str, Any] | None = None,
) -> Config:
    """Config of an RTMDet with the first stage of a narrow ResNet-18.

    Args:
        classes: Names of the classes.
        head: Options of the head; those that are None are left out.
        test_cfg: Options of ``test_cfg``.
        scale: (w, h) that images are resized to.
        pad: Options of ``Pad``; by default to ``SIZE``.
    """
    norm_cfg = dict(type='BN')
    model: dict[str, Any] = dict(
        type='RTMDet',
        data_preprocessor=dict(
            type='DetDataPreprocessor',
            mean=[103.53, 116.28, 123.675],
            std=[57.375, 57.12, 58.395],
            bgr_to_rgb=True,
        ),
        backbone=dict(
            type='ResNet',
            depth=18,
            num_stages=1,
            strides=(1,),
            dilations=(1,),
            out_indices=(0,),
            base_channels=4,
        ),
        neck=dict(
            type='ChannelMapper', in_channels=[4], out_channels=8, num_outs=2, norm_cfg=norm_cfg
        ),
        bbox_head=dict(
            type='RTMDetSepBNHead',
            num_classes=len(classes),
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[4, 8]),
            bbox_coder=dict(type='DistancePointBBoxCoder'),
            loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0),
            loss_bbox=dict(type='GIoULoss'),
            norm_cfg=norm_cfg,
            exp_on_reg=True,
            with_objectness=False,
        )
        | (head or {}),
        test_cfg=dict(
            nms_pre=1000,
            min_bbox_size=0,
            score_thr=0.05,
            nms=dict(type='nms', iou_threshold=0.6),
            max_per_img=30,
        )
        | (test_cfg or {}),
    )
    for name in [name for name, option in (head or {}).items() if option is None]:
        del model['bbox_head'][name]
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=scale, keep_ratio=True),
        dict(type='Pad', pad_val=dict(img=PAD_VALUE), **(pad or dict(size=SIZE))),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(
            type='PackDetInputs',
            meta_keys=('img_id', 'ori_shape', 'img_shape', 'scale_factor'),
        ),
    ]
    dataset = dict(type='CocoDataset', metainfo=dict(classes=classes), pipeline=pipeline)
    return Config(dict(default_scope='mmdet', model=model, test_dataloader=dict(dataset=dataset)))


def detector(cfg: Config) -> nn.Module:
    """Build a detector with random weights that detects instances of all sizes and classes."""
    model: Any = build(cfg, 'mmdet').eval()
    head = model.bbox_head
    layers: dict[str, Any] = dict(cls=head.rtm_cls, reg=head.rtm_reg)
    for name, layer in layers.items():
        convs: list[Any] = [*layer] if isinstance(layer, nn.ModuleList) else [layer]
        for conv in convs:
            nn.init.normal_(conv.weight, std=0.5)
            nn.init.constant_(conv.bias, -1.0 if name == 'cls' else 0.5)
    return model


def save_detector(cfg: Config, path: Path) -> None:
    """Save the weights of :func:`detector`."""
    torch.save(dict(state_dict=detector(cfg).state_dict()), path)


@torch.inference_mode()
def by_mmdet(model: Any, images: np.ndarray) -> list[InstanceData]:
    """Detect with MMDetection in inputs (N, h, w, 3), uint8, BGR, each alone."""
    shape = images.shape[1:3]
    meta = dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0))
    detected = []
    for image in images:
        inputs = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        data = dict(inputs=[inputs], data_samples=[DetDataSample(metainfo=meta)])
        (sample,) = model.test_step(data)
        detected.append(sample.pred_instances.numpy())
    return detected
