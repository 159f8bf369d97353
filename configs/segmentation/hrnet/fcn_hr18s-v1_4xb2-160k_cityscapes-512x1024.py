_base_ = [
    '../../_base_/models/fcn_hr18s-v1.py',
    '../../_base_/datasets/cityscapes.py',
    '../../_base_/schedules/segmentation_160k.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=_base_.num_classes),
)
