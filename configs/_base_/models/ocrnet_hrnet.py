"""HRNetV2 and object-contextual representations, to be given a width.

It upsamples with align_corners, as the official branch `HRNet-OCR` does, whose weights need that.
Those of MMSegmentation need False: of the backbone's `upsample` and of both heads.
"""

_base_ = 'mmseg::_base_/models/ocrnet_hr18.py'

model = dict(
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='hrnet_plugin.HRNet',
        multiscale_output=True,
        norm_cfg=dict(type='SyncBN'),
        upsample=dict(mode='bilinear', align_corners=True),
    ),
    decode_head=[dict(head, align_corners=True) for head in _base_.model.decode_head],
)
