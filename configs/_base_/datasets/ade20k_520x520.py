"""ADE20K, in crops and with a shorter side of 520 pixels."""

_base_ = './ade20k.py'

crop_size = (520, 520)
steps = dict(
    RandomResize=dict(scale=(2048, 520)),
    RandomCrop=dict(crop_size=crop_size),
    Resize=dict(scale=(2048, 520)),
)
train_pipeline = [{**step, **steps.get(step['type'], {})} for step in _base_.train_pipeline]
test_pipeline = [{**step, **steps.get(step['type'], {})} for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
