_base_ = [
    '../../_base_/models/fcos_hrnetv2p_2x.py',
    '../../_base_/backbones/hrnet_w18.py',
]

model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.channels))
