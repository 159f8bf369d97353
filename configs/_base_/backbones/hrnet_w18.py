"""HRNet-W18 from ImageNet weights."""

hrnet = dict(
    arch='w18',
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w18'),
)
channels = [18, 36, 72, 144]
