"""HRFormer-T from scratch: MMPose has ImageNet weights of S and B only."""

_base_ = './topdown_heatmap.py'

model = dict(
    backbone=dict(type='hrnet_plugin.HRFormer', arch='tiny', norm_cfg=dict(type='SyncBN')),
    head=dict(in_channels=18),
)
