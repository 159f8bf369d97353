_base_ = [
    '../../_base_/models/ocrnet_hr18s.py',
    '../../_base_/datasets/pascal_context_59_520x520.py',
    '../../_base_/schedules/segmentation_200e_pascal-context.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=[dict(head, num_classes=_base_.num_classes) for head in _base_.model.decode_head],
    test_cfg=_base_.inference,
)
