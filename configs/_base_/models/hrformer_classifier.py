"""HRFormer and its classification head, to be given a size; with Swin's loss and mixing of images.

The backbone upsamples as the official weights need; in pose, its default, it does so bilinearly.
"""

_base_ = 'mmpretrain::_base_/models/swin_transformer/tiny_224.py'

neck = dict(type='hrnet_plugin.ClassificationNeck', separable=True)
pooling = _base_.model.neck
model = dict(
    backbone=dict(
        _delete_=True,
        type='hrnet_plugin.HRFormer',
        multiscale_output=True,
        drop_path_rate=0.0,
        upsample=dict(mode='nearest'),
    ),
    head=dict(in_channels=2048),
)
