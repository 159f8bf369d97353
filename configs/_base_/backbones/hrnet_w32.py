"""HRNet-W32 from ImageNet weights."""

hrnet = dict(
    arch='w32',
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w32'),
)
channels = [32, 64, 128, 256]
