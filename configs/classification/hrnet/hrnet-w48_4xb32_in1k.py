_base_ = [
    '../../_base_/models/hrnet_classifier.py',
    '../../_base_/datasets/imagenet_bs32.py',
    '../../_base_/schedules/imagenet_hrnet.py',
]

model = dict(
    backbone=dict(arch='w48'),
    neck=[dict(_base_.neck, in_channels=[48, 96, 192, 384]), _base_.pooling],
)
