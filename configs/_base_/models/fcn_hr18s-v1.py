_base_ = ['./fcn_hrnet.py', '../backbones/hrnet_w18-small-v1.py']

model = dict(
    backbone=_base_.hrnet,
    decode_head=dict(in_channels=_base_.channels, channels=sum(_base_.channels)),
)
