"""A small HRNet that overfits a handful of images: to test a pipeline from end to end."""

_base_ = '../body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'

model = dict(
    backbone=dict(arch='w18-small-v1', init_cfg=None),
    head=dict(in_channels=16),
)

# Flips, for the flip test, and boxes as inaccurate as a detector's; nothing else
steps = dict(
    RandomHalfBody=dict(prob=0),
    RandomBBoxTransform=dict(shift_factor=0.05, scale_factor=(0.9, 1.1), rotate_prob=0),
)
train_pipeline = [{**step, **steps.get(step['type'], {})} for step in _base_.train_pipeline]
train_dataloader = dict(batch_size=12, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
