"""MMPose's batch size; the published config has 32 instances per GPU."""

_base_ = [
    '../../../_base_/schedules/litehrnet_210e.py',
    '../../../_base_/datasets/mpii_256x256.py',
    '../../../_base_/models/litehrnet_18.py',
]

model = dict(head=dict(out_channels=16, decoder=_base_.codec))
train_pipeline = [
    {**step, **_base_.augmentation.get(step['type'], {})} for step in _base_.train_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = dict(checkpoint=dict(save_best='PCK'))
