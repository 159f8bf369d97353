"""The person detector with HRNetV2p, whose backbone starts as that of the demo's pose model."""

_base_ = './rtmdet_hrnetv2p-w18-small-v1_person.py'

pose_model = dict(
    _delete_=True,
    type='Pretrained',
    checkpoint='{{$POSE_CHECKPOINT:pose.pth}}',
    prefix='backbone.',
)
model = dict(backbone=dict(init_cfg=pose_model))
