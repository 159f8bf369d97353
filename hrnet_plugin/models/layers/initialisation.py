"""Initial weights of the published code: of HRNet, Lite-HRNet, HRFormer, their necks and heads."""

from typing import Any

InitCfg = dict[str, Any] | list[dict[str, Any]] | None  # as in MMEngine

NORMAL = [
    dict(type='Normal', std=0.001, layer=['Conv2d', 'ConvTranspose2d']),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]
# Classification: He et al., https://arxiv.org/abs/1502.01852, by the outputs of a convolution
KAIMING: list[dict[str, Any]] = [
    dict(type='Kaiming', layer='Conv2d'),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]
# Detection: Caffe2's Xavier
XAVIER: list[dict[str, Any]] = [
    dict(type='Caffe2Xavier', layer='Conv2d'),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]
