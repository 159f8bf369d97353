"""RTMDet for people only, narrower than tiny, to be trained from scratch on two cores."""

_base_ = ['mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py', '../_base_/schedules/demo.py']

data_root = '{{$COCO_ROOT:data/coco}}/'
metainfo = dict(classes=('person',))
norm_cfg = dict(type='BN')
model = dict(
    backbone=dict(widen_factor=0.25, init_cfg=None, norm_cfg=norm_cfg),
    neck=dict(in_channels=[64, 128, 256], out_channels=64, norm_cfg=norm_cfg),
    # exp: boxes start at the size of a stride, not as points. The loss of a box is weighted with
    # its overlap, so that points would hardly contribute.
    bbox_head=dict(
        num_classes=1, in_channels=64, feat_channels=64, norm_cfg=norm_cfg, exp_on_reg=True
    ),
    test_cfg=dict(nms_pre=1000, max_per_img=10),
)

scale = (192, 192)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size_divisor=32, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='Pad', size_divisor=32, pad_val=dict(img=(114, 114, 114))),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
dataset = dict(data_root=data_root, metainfo=metainfo)
loader = dict(num_workers=2, pin_memory=False)
train_dataloader = dict(
    **loader,
    batch_size=8,
    collate_fn=dict(type='hrnet_plugin.stack_inputs'),
    dataset=dict(
        **dataset,
        ann_file='annotations/person_keypoints_train2017.json',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    **loader,
    batch_size=16,
    dataset=dict(
        **dataset, ann_file='annotations/person_keypoints_val2017.json', pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f'{data_root}annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=_base_.epochs, val_interval=_base_.epochs, dynamic_intervals=None)
optim_wrapper = dict(
    type='hrnet_plugin.AutocastOptimWrapper', precision='auto', optimizer=_base_.optimizer
)
param_scheduler = [_base_.warm_up, _base_.decay]
default_hooks = _base_.demo_hooks
custom_hooks = []
