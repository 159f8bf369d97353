_base_ = [
    '../../_base_/models/faster-rcnn_hrnetv2p.py',
    '../../_base_/backbones/hrnet_w32.py',
    '../../_base_/datasets/coco_detection.py',
    '../../_base_/schedules/detection_1x.py',
]

model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.channels))
