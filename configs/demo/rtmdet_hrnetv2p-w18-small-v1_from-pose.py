"""The person detector with HRNetV2p, whose backbone starts as that of the demo's pose model."""

_base_ = './rtmdet_hrnetv2p-w18-small-v1_person.py'

pose_model = dict(
    _delete_=True,
    type='Pretrained',
    checkpoint='{{$POSE_CHECKPOINT:pose.pth}}',
    prefix='backbone.',
)
model = dict(backbone=dict(init_cfg=pose_model))

# Padded to multiples of 32, which `hrnet-plugin export --det` needs
pad = dict(type='Pad', size_divisor=32, pad_val=dict(img=(114, 114, 114)))
train_pipeline = [*_base_.train_pipeline[:-1], pad, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:2], pad, *_base_.test_pipeline[2:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
