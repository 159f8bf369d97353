"""HRNet-W40 from ImageNet weights."""

hrnet = dict(
    arch='w40',
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w40'),
)
channels = [40, 80, 160, 320]
