"""HRNet-W18-Small-v1 that tells where an image was taken, small enough for two cores."""

_base_ = [
    'mmpretrain::_base_/default_runtime.py',
    '../_base_/models/hrnet_classifier.py',
    '../_base_/schedules/demo.py',
    '../_base_/backbones/hrnet_w18-small-v1.py',
]

data_root = '{{$COCO_ROOT:data/coco}}/'
labels = 'classification/setting'
model = dict(
    backbone=_base_.hrnet,
    neck=[dict(_base_.neck, in_channels=_base_.channels), _base_.pooling],
    head=dict(num_classes=3, topk=(1,)),
)
data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True, num_classes=3
)
dataset = dict(
    type='CustomDataset', data_root=data_root, classes=f'{data_root}{labels}/classes.txt'
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=64),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=64, edge='short'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]
loader = dict(num_workers=2, batch_size=32, persistent_workers=True)
train_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file=f'{labels}/train2017.txt',
        data_prefix='train2017',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, ann_file=f'{labels}/val2017.txt', data_prefix='val2017', pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=_base_.epochs, val_interval=_base_.epochs)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=_base_.optimizer)
param_scheduler = [_base_.warm_up, _base_.decay]
default_hooks = _base_.demo_hooks
