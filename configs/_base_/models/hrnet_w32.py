"""HRNet-W32 from ImageNet weights, with a 1x1 convolution to 17 heatmaps."""

model = dict(
    type='hrnet_plugin.TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='hrnet_plugin.HRNet',
        arch='w32',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmpose/'
            'pretrain_models/hrnet_w32-36af842e.pth',
        ),
    ),
    head=dict(type='hrnet_plugin.HeatmapHead', in_channels=32, out_channels=17),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)
