"""HRNetV2 and a 1x1 convolution, to be given a width.

Between streams and before the concatenation it upsamples as the official branches `master` and
`pytorch-v1.1` and MMSegmentation do, whose weights need that.
"""

_base_ = 'mmseg::_base_/models/fcn_hr18.py'

model = dict(
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='hrnet_plugin.HRNet',
        multiscale_output=True,
        norm_cfg=dict(type='SyncBN'),
        upsample=dict(mode='bilinear', align_corners=False),
    ),
)
