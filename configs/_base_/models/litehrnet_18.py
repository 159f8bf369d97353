"""Lite-HRNet-18 from scratch."""

_base_ = './topdown_heatmap.py'

model = dict(
    backbone=dict(type='hrnet_plugin.LiteHRNet', arch='lite-18'), head=dict(in_channels=40)
)
