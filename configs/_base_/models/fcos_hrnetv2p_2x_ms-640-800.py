"""The same with training images of a shorter side of 640 or 800 pixels."""

_base_ = './fcos_hrnetv2p_2x.py'

resize = dict(type='RandomChoiceResize', scales=[(1333, 640), (1333, 800)], keep_ratio=True)
train_pipeline = [resize if step['type'] == 'Resize' else step for step in _base_.train_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
