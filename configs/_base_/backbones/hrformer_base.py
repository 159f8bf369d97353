"""HRFormer-B from ImageNet weights."""

hrformer = dict(
    arch='base',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmpose/'
        'pretrain_models/hrformer_base-32815020_20220226.pth',
    ),
)
channels = [78, 156, 312, 624]
