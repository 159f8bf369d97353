"""HRNet and its classification head, to be given a width."""

_base_ = 'mmpretrain::_base_/models/hrnet/hrnet-w18.py'

neck = dict(type='hrnet_plugin.ClassificationNeck')
pooling = _base_.model.neck[1]
model = dict(backbone=dict(_delete_=True, type='hrnet_plugin.HRNet', multiscale_output=True))
