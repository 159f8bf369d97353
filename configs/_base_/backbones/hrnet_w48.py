"""HRNet-W48 from ImageNet weights."""

hrnet = dict(
    arch='w48',
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w48'),
)
channels = [48, 96, 192, 384]
