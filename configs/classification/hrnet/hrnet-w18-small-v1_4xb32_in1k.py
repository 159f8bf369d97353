_base_ = [
    '../../_base_/models/hrnet_classifier.py',
    '../../_base_/datasets/imagenet_bs32.py',
    '../../_base_/schedules/imagenet_hrnet.py',
]

model = dict(
    backbone=dict(arch='w18-small-v1'),
    neck=[dict(_base_.neck, in_channels=[16, 32, 64, 128]), _base_.pooling],
)
