"""HRFormer and object-contextual representations, to be given a size.

As in the official code, the first head has a 3x3 convolution, and images are BGR although means
and deviations are those of RGB. The backbone upsamples as the official weights need.
"""

_base_ = './ocrnet_hrnet.py'

aux_head, ocr_head = _base_.model.decode_head
model = dict(
    data_preprocessor=dict(bgr_to_rgb=False),
    backbone=dict(
        type='hrnet_plugin.HRFormer',
        drop_path_rate=0.2,
        upsample=dict(mode='nearest'),
    ),
    decode_head=[dict(aux_head, channels=512, kernel_size=3), ocr_head],
)
