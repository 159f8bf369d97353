"""PASCAL-Context in crops of 520 pixels."""

_base_ = './pascal_context_59.py'

crop_size = (520, 520)
inference = dict(crop_size=crop_size, stride=(346, 346))
steps = dict(RandomCrop=dict(crop_size=crop_size))
train_pipeline = [{**step, **steps.get(step['type'], {})} for step in _base_.train_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
