_base_ = [
    '../../_base_/models/cascade-rcnn_hrnetv2p.py',
    '../../_base_/backbones/hrnet_w40.py',
    '../../_base_/datasets/coco_detection.py',
    '../../_base_/schedules/detection_20e.py',
]

model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.channels))
