"""HRFormer-B from ImageNet weights."""

_base_ = './hrformer_small.py'

model = dict(
    backbone=dict(
        arch='base',
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmpose/'
            'pretrain_models/hrformer_base-32815020_20220226.pth'
        ),
    ),
    head=dict(in_channels=78),
)
