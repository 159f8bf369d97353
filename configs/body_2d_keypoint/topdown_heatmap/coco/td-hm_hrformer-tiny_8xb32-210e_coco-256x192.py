"""The recipe of HRFormer-S: that of HRFormer-T is not published."""

_base_ = [
    '../../../_base_/schedules/hrformer_210e.py',
    '../../../_base_/datasets/coco_256x192.py',
    '../../../_base_/models/hrformer_tiny.py',
]

model = dict(head=dict(decoder=_base_.codec))
train_dataloader = dict(batch_size=32)
