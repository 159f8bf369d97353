_base_ = [
    '../../_base_/models/hrformer_classifier.py',
    '../../_base_/datasets/imagenet_bs128_swin.py',
    '../../_base_/schedules/imagenet_hrformer.py',
]

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.2),
    neck=[dict(_base_.neck, in_channels=[78, 156, 312, 624]), _base_.pooling],
)
