_base_ = [
    '../../_base_/models/ocrnet_hrformer-base.py',
    '../../_base_/datasets/pascal_context_59_520x520.py',
    '../../_base_/schedules/hrformer_60k.py',
]

aux_head, ocr_head = _base_.model.decode_head
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=[
        dict(aux_head, num_classes=_base_.num_classes),
        dict(ocr_head, num_classes=_base_.num_classes, sampler=_base_.hard_pixels),
    ],
    test_cfg=_base_.inference,
)

train_dataloader = dict(batch_size=2)
