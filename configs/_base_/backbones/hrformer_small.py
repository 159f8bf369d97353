"""HRFormer-S from ImageNet weights."""

hrformer = dict(
    arch='small',
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmpose/'
        'pretrain_models/hrformer_small-09516375_20220226.pth',
    ),
)
channels = [32, 64, 128, 256]
