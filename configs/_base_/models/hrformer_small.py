"""HRFormer-S from ImageNet weights."""

_base_ = './hrformer_tiny.py'

model = dict(
    backbone=dict(
        arch='small',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmpose/'
            'pretrain_models/hrformer_small-09516375_20220226.pth',
        ),
    ),
    head=dict(in_channels=32),
)
