_base_ = [
    '../../../_base_/schedules/hrformer_210e.py',
    '../../../_base_/datasets/coco_384x288.py',
    '../../../_base_/models/hrformer_small.py',
]

model = dict(head=dict(decoder=_base_.codec))
train_dataloader = dict(batch_size=32)
