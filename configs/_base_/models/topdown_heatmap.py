"""A backbone, then a 1x1 convolution to 17 heatmaps."""

model = dict(
    type='hrnet_plugin.TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    head=dict(type='hrnet_plugin.HeatmapHead', out_channels=17),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)
