"""HRNetV2-W18-Small-v1 that segments people, small enough to train from scratch on two cores."""

_base_ = [
    'mmseg::_base_/default_runtime.py',
    '../_base_/models/fcn_hr18s-v1.py',
    '../_base_/schedules/demo.py',
]

data_root = '{{$COCO_ROOT:data/coco}}/'
dataset = dict(
    type='BaseSegDataset',
    data_root=data_root,
    metainfo=dict(classes=('background', 'person'), palette=[[0, 0, 0], [220, 60, 60]]),
    reduce_zero_label=False,
)
labels = 'segmentation/person'
scale, crop_size = (160, 120), (120, 160)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations'),  # of the image's own size, at which the metric compares
    dict(type='PackSegInputs'),
]
loader = dict(num_workers=2, persistent_workers=True)
train_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='train2017', seg_map_path=f'{labels}/train2017'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='val2017', seg_map_path=f'{labels}/val2017'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

model = dict(data_preprocessor=dict(size=crop_size), decode_head=dict(num_classes=2))

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=_base_.epochs, val_interval=_base_.epochs)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(optimizer=_base_.optimizer)
param_scheduler = [_base_.warm_up, _base_.decay]
default_hooks = _base_.demo_hooks
log_processor = dict(by_epoch=True)
