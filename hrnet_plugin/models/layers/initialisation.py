"""Initial weights of the published code, of HRNet, Lite-HRNet, HRFormer and their heads."""

NORMAL = [
    dict(type='Normal', std=0.001, layer=['Conv2d', 'ConvTranspose2d']),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]
