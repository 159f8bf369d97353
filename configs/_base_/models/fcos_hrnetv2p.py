"""FCOS on HRNetV2p, to be given a width, with MMDetection's data and schedule of 12 epochs.

The levels have strides of 8 to 128, by 3x3 convolutions of stride 2.
"""

_base_ = [
    'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_4xb4-1x_coco.py',
    '../datasets/coco_root.py',
    '../plugin.py',
    './hrnetv2p.py',
]

model = dict(
    # Images are BGR.
    data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395]),
    backbone=_base_.hrnetv2p.backbone,
    neck=dict(_base_.hrnetv2p.neck, stride=2),
)
train_dataloader = _base_.coco_loader
val_dataloader = _base_.coco_loader
test_dataloader = _base_.coco_loader
val_evaluator = _base_.coco_evaluator
test_evaluator = _base_.coco_evaluator
default_hooks = _base_.plugin_hooks
