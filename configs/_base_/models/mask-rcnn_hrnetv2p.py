_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py', './hrnetv2p.py']

model = _base_.hrnetv2p
