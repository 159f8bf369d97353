"""A small HRNet, small enough to train from scratch on two cores."""

_base_ = [
    '../_base_/schedules/adam_210e.py',
    '../_base_/datasets/coco_256x192.py',
    '../_base_/models/hrnet_w32.py',
]

codec = dict(_base_.codec, input_size=(144, 192), heatmap_size=(36, 48), sigma=2)
model = dict(
    backbone=dict(arch='w18-small-v1', init_cfg=None),
    head=dict(in_channels=16, decoder=codec),
    train_cfg=dict(compute_acc=True),
)

sized = dict(
    TopdownAffine=dict(input_size=codec['input_size']), GenerateTarget=dict(encoder=codec)
)
train_pipeline = [{**step, **sized.get(step['type'], {})} for step in _base_.train_pipeline]
val_pipeline = [{**step, **sized.get(step['type'], {})} for step in _base_.val_pipeline]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline, bbox_file=''))
test_dataloader = val_dataloader

max_epochs = 5
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=max_epochs,
        eta_min=2e-5,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None), logger=dict(interval=10)
)
