_base_ = [
    '../../_base_/models/ocrnet_hrformer-base.py',
    '../../_base_/datasets/cityscapes.py',
    '../../_base_/schedules/hrformer_80k.py',
]

aux_head, ocr_head = _base_.model.decode_head
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=[
        dict(
            aux_head,
            num_classes=_base_.num_classes,
            loss_decode=dict(aux_head.loss_decode, **_base_.class_weights),
        ),
        dict(
            ocr_head,
            num_classes=_base_.num_classes,
            sampler=_base_.hard_pixels,
            loss_decode=dict(ocr_head.loss_decode, **_base_.class_weights),
        ),
    ],
)

train_dataloader = dict(batch_size=1)
