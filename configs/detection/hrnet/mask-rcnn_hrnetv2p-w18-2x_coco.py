_base_ = [
    '../../_base_/models/mask-rcnn_hrnetv2p.py',
    '../../_base_/backbones/hrnet_w18.py',
    '../../_base_/datasets/coco_instance.py',
    '../../_base_/schedules/detection_2x.py',
]

model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.channels))
