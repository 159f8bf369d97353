_base_ = [
    '../../_base_/models/hrformer_classifier.py',
    '../../_base_/datasets/imagenet_bs128_swin.py',
    '../../_base_/schedules/imagenet_hrformer.py',
]

model = dict(
    backbone=dict(arch='tiny'),
    neck=[dict(_base_.neck, in_channels=[18, 36, 72, 144]), _base_.pooling],
)
