"""A small HRNet, small enough to train from scratch on two cores."""

_base_ = [
    '../_base_/schedules/adam_210e.py',
    '../_base_/datasets/coco_256x192.py',
    '../_base_/models/hrnet_w32.py',
]

# Small crops, and heatmaps of half their size: twice that of HRNet's stride of 4
# (docs/demo.md says what each such setting brings)
codec = dict(_base_.codec, input_size=(96, 128), heatmap_size=(48, 64), variant='dark')
model = dict(
    backbone=dict(arch='w18-small-v1', init_cfg=None),
    head=dict(in_channels=16, deconv_out_channels=(32,), deconv_kernel_sizes=(4,), decoder=codec),
    train_cfg=dict(compute_acc=True),
)

# COCO's augmentation is for 210 epochs; a short training converges better with less.
# A tenth around boxes, which are exact here: less than usual, as the crops are small
steps = dict(
    GetBBoxCenterScale=dict(padding=1.1),
    RandomHalfBody=dict(prob=0),
    RandomBBoxTransform=dict(shift_prob=0, scale_factor=(0.85, 1.2), rotate_factor=20),
    TopdownAffine=dict(input_size=codec['input_size']),
    GenerateTarget=dict(encoder=codec),
)
train_pipeline = [{**step, **steps.get(step['type'], {})} for step in _base_.train_pipeline]
val_pipeline = [{**step, **steps.get(step['type'], {})} for step in _base_.val_pipeline]
# Left and right of ankles seem to be learned sooner than with batches of 32 (docs/demo.md).
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline, bbox_file=''))
test_dataloader = val_dataloader

max_epochs = 6
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(
    type='hrnet_plugin.AutocastOptimWrapper',
    precision='auto',
    optimizer=dict(lr=3e-3, fused=True),
)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=max_epochs,
        eta_min=4e-5,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None),
    logger=dict(interval=10),
    channels_last=dict(type='hrnet_plugin.ChannelsLastHook'),
)
