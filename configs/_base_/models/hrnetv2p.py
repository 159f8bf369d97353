"""HRNetV2p in the place of a ResNet and its FPN, to be given a width.

Batch norms keep the statistics of the ImageNet weights, as published. From scratch they must not:
then set model.backbone.norm_eval=False with model.backbone.init_cfg=None, or the loss becomes NaN.
"""

hrnetv2p = dict(
    backbone=dict(
        _delete_=True, type='hrnet_plugin.HRNet', multiscale_output=True, norm_eval=True
    ),
    neck=dict(_delete_=True, type='hrnet_plugin.HRFPN', out_channels=256),
)
