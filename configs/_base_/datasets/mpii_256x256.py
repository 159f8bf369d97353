"""MPII keypoints; people cropped to 256 x 256 pixels.

The environment variable MPII_ROOT names the folder that holds images/ and annotations/, the latter
as MMPose publishes them: mpii_train.json, mpii_val.json and mpii_gt_val.mat.
"""

_base_ = './topdown_256x192.py'

dataset_type = 'MpiiDataset'  # MMPoseInferencer reads this.
data_root = '{{$MPII_ROOT:data/mpii}}'
codec = dict(_base_.codec, input_size=(256, 256), heatmap_size=(64, 64))

# No half bodies and no shifts, as in the published code and in MMPose
steps = dict(
    RandomBBoxTransform=dict(shift_prob=0),
    TopdownAffine=dict(input_size=codec['input_size']),
    GenerateTarget=dict(encoder=codec),
)
train_pipeline = [
    {**step, **steps.get(step['type'], {})}
    for step in _base_.train_pipeline
    if step['type'] != 'RandomHalfBody'
]
val_pipeline = [{**step, **steps.get(step['type'], {})} for step in _base_.val_pipeline]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mpii_train.json',
        data_prefix=dict(img='images/'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/mpii_val.json',
        headbox_file=f'{data_root}/annotations/mpii_gt_val.mat',
        data_prefix=dict(img='images/'),
        pipeline=val_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(type='MpiiPCKAccuracy')
test_evaluator = val_evaluator
