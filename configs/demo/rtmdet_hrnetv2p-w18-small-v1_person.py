"""The person detector with HRNetV2p-W18-Small-v1 in place of CSPNeXt and its neck."""

_base_ = ['./rtmdet_person.py', '../_base_/backbones/hrnet_w18-small-v1.py']

model = dict(
    backbone=dict(
        _delete_=True, type='hrnet_plugin.HRNet', multiscale_output=True, **_base_.hrnet
    ),
    neck=dict(
        _delete_=True,
        type='hrnet_plugin.HRFPN',
        in_channels=_base_.channels,
        out_channels=64,
        num_outs=3,
        stride=2,  # strides of 8, 16 and 32, as the head has
    ),
)

# 32 need not divide the images, which are 192x144 unless padded.
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'Pad']
test_pipeline = [step for step in _base_.test_pipeline if step['type'] != 'Pad']
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
