_base_ = [
    '../../../_base_/schedules/litehrnet_210e.py',
    '../../../_base_/datasets/coco_256x192.py',
    '../../../_base_/models/litehrnet_18.py',
]

model = dict(head=dict(decoder=_base_.codec))
train_pipeline = [
    {**step, **_base_.augmentation.get(step['type'], {})} for step in _base_.train_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
