"""Detectors of MMDetection are refused when built if their heads assume other strides."""

from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import nn

from hrnet_plugin.models import HRFPN

pytestmark = pytest.mark.usefixtures('no_default_scope')

CHANNELS = (16, 32, 64, 128)
BACKBONE = dict(type='hrnet_plugin.HRNet', arch='w18-small-v1', multiscale_output=True)
FCOS_STRIDES = (8, 16, 32, 64, 128)
RPN_STRIDES = (4, 8, 16, 32, 64)
SIZE = (90, 122)


def fcos(strides: Any, **neck: Any) -> ConfigDict:
    return ConfigDict(
        type='mmdet.FCOS',
        backbone=BACKBONE,
        neck=dict(type='hrnet_plugin.HRFPN', in_channels=CHANNELS, out_channels=8) | neck,
        bbox_head=dict(
            type='mmdet.FCOSHead',
            num_classes=2,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            norm_cfg=None,
            strides=strides,
        ),
    )


def faster(
    anchors: Any = RPN_STRIDES, extractor: Any = RPN_STRIDES[:4], stage: str = 'Standard'
) -> ConfigDict:
    roi_head: dict[str, Any] = dict(
        type=f'mmdet.{stage}RoIHead',
        bbox_roi_extractor=dict(
            type='mmdet.SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=0),
            out_channels=8,
            featmap_strides=extractor,
        ),
        bbox_head=dict(
            type='mmdet.Shared2FCBBoxHead',
            in_channels=8,
            fc_out_channels=8,
            roi_feat_size=3,
            num_classes=2,
        ),
    )
    if stage == 'Cascade':
        roi_head |= dict(num_stages=2, stage_loss_weights=[1, 1])
        roi_head['bbox_head'] = [roi_head['bbox_head']] * 2
    return ConfigDict(
        type='mmdet.FasterRCNN',
        backbone=BACKBONE,
        neck=dict(type='hrnet_plugin.HRFPN', in_channels=CHANNELS, out_channels=8),
        rpn_head=dict(
            type='mmdet.RPNHead',
            in_channels=8,
            feat_channels=8,
            anchor_generator=dict(
                type='mmdet.AnchorGenerator', scales=[8], ratios=[1.0], strides=anchors
            ),
        ),
        roi_head=roi_head,
        train_cfg=dict(rpn=None, rcnn=None),
        test_cfg=dict(
            rpn=dict(nms_pre=5, max_per_img=5, nms=dict(type='nms', iou_threshold=0.7)),
            rcnn=dict(score_thr=0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=5),
        ),
    )


@pytest.mark.parametrize('config', [fcos(FCOS_STRIDES, stride=2), faster()], ids=['fcos', 'rcnn'])
def test_detectors_run_at_sizes_that_32_does_not_divide(config: ConfigDict) -> None:
    detector: Any = MODELS.build(config).eval()
    with torch.no_grad():
        levels = detector.extract_feat(torch.rand(1, 3, *SIZE))
        scores = (detector.bbox_head if config['type'] == 'mmdet.FCOS' else detector.rpn_head)(
            levels
        )[0]
    sides = [23 >> i for i in range(5)]
    if config['type'] == 'mmdet.FCOS':
        sides = [-(-side // 2) for side in sides]
    assert [x.shape[2] for x in scores] == sides


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (
            fcos(FCOS_STRIDES),
            r'bbox_head.prior_generator assumes strides of \(8, 16, 32, 64, 128\), but those of '
            r'HRFPN are \(4, 8, 16, 32, 64\): make them agree',
        ),
        (fcos(RPN_STRIDES, stride=2), r'of \(4, 8, .*HRFPN are \(8, 16, 32, 64, 128\)'),
        (fcos(FCOS_STRIDES, stride=2, num_outs=6), r'HRFPN are \(8, .*, 256\)'),
        (faster(FCOS_STRIDES), r'rpn_head.prior_generator assumes strides of \(8, 16'),
        (faster(extractor=(8, 16)), r'bbox_roi_extractor assumes strides of \(8, 16\)'),
        (
            faster(extractor=(8, 16), stage='Cascade'),
            r'bbox_roi_extractor.0 assumes strides of \(8, 16\)',
        ),
    ],
    ids=['neck', 'head', 'levels', 'rpn', 'extractor', 'cascade'],
)
def test_strides_that_disagree(config: ConfigDict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODELS.build(config)


def test_detectors_of_others_are_left_alone() -> None:
    """Also where one of our necks exists."""
    HRFPN((8, 16), 8)
    config = fcos(RPN_STRIDES)
    config['neck'] = dict(type='mmdet.HRFPN', in_channels=[*CHANNELS], out_channels=8, stride=2)
    MODELS.build(config)
    module = nn.Module()
    module.neck = HRFPN((8, 16), 8)
    module.bbox_head = nn.Identity()  # does not say what it assumes
    module.mask_head = None
    module.bbox_head = None
