"""HRNet-W18-Small-v2 from ImageNet weights."""

hrnet = dict(
    arch='w18-small-v2',
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w18_small'),
)
channels = [18, 36, 72, 144]
