"""HRNet-W32 from ImageNet weights."""

_base_ = './topdown_heatmap.py'

model = dict(
    backbone=dict(
        type='hrnet_plugin.HRNet',
        arch='w32',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmpose/'
            'pretrain_models/hrnet_w32-36af842e.pth',
        ),
    ),
    head=dict(in_channels=32),
)
