_base_ = [
    '../../_base_/models/ocrnet_hr18s-v1.py',
    '../../_base_/datasets/cityscapes.py',
    '../../_base_/schedules/segmentation_484e_cityscapes.py',
]

decode_head = [
    dict(
        head,
        num_classes=_base_.num_classes,
        loss_decode=dict(head.loss_decode, **_base_.class_weights),
    )
    for head in _base_.model.decode_head
]
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=decode_head)

train_dataloader = dict(batch_size=3)
auto_scale_lr = dict(base_batch_size=12)
