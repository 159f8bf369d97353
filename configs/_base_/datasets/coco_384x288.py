"""COCO keypoints; people cropped to 384 x 288 pixels (height x width)."""

_base_ = './coco_256x192.py'

codec = dict(_base_.codec, input_size=(288, 384), heatmap_size=(72, 96), sigma=3)

steps = dict(
    TopdownAffine=dict(input_size=codec['input_size']), GenerateTarget=dict(encoder=codec)
)
train_pipeline = [{**step, **steps.get(step['type'], {})} for step in _base_.train_pipeline]
val_pipeline = [{**step, **steps.get(step['type'], {})} for step in _base_.val_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
