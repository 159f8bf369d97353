"""Configs of stock MMPose's heads, at small size, for channels of any backbone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmpose.codecs import AssociativeEmbedding
from mmpose.registry import KEYPOINT_CODECS

SIZE = (64, 64)  # of crops and, bottom-up, of whole images
HEATMAP = (16, 16)
NUM_KEYPOINTS = 17
META_KEYS = (
    *('id', 'img_id', 'img_path', 'ori_shape', 'img_shape', 'input_size', 'input_center'),
    *('input_scale', 'flip', 'flip_direction', 'flip_indices', 'skeleton_links'),
)
PREPROCESSOR = dict(
    type='PoseDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]
)
CHANNELS = {'HRNet': (16, 32, 64, 128), 'LiteHRNet': (40,), 'HRFormer': (18, 36, 72, 144)}
ARCHS = {'HRNet': 'w18-small-v1', 'LiteHRNet': 'lite-18', 'HRFormer': 'tiny'}


@KEYPOINT_CODECS.register_module(force=True)
class TrainableAssociativeEmbedding(AssociativeEmbedding):
    """Stock's codec with the labels that its head needs, for one instance per image."""

    label_mapping_table: ClassVar = dict(
        keypoint_weights='keypoint_weights', keypoint_indices='keypoint_indices'
    )


def simcc(channels: Sequence[int]) -> dict[str, Any]:
    codec = dict(type='SimCCLabel', input_size=SIZE, sigma=2.0, simcc_split_ratio=2.0)
    head = dict(
        type='SimCCHead',
        in_channels=channels[0],
        out_channels=NUM_KEYPOINTS,
        input_size=SIZE,
        in_featuremap_size=HEATMAP,
        deconv_out_channels=None,
        loss=dict(type='KLDiscretLoss', use_target_weight=True),
        decoder=codec,
    )
    return dict(head=head, test_cfg=dict(flip_test=True))


def simcc_with_visibility(channels: Sequence[int]) -> dict[str, Any]:
    """A head that wraps another, and has no decoder itself."""
    head = dict(
        type='VisPredictHead',
        loss=dict(type='BCELoss', use_target_weight=True, use_sigmoid=True),
        pose_cfg=simcc(channels)['head'],
    )
    return dict(head=head, test_cfg=dict(flip_test=False))


def rtmpose(channels: Sequence[int]) -> dict[str, Any]:
    codec = dict(type='SimCCLabel', input_size=SIZE, sigma=(2.0, 2.0), normalize=False)
    unit = dict(hidden_dims=32, s=16, expansion_factor=2, dropout_rate=0.0, drop_path=0.0)
    head = dict(
        type='RTMCCHead',
        in_channels=channels[0],
        out_channels=NUM_KEYPOINTS,
        input_size=SIZE,
        in_featuremap_size=HEATMAP,
        final_layer_kernel_size=7,
        gau_cfg=unit | dict(act_fn='SiLU', use_rel_bias=False, pos_enc=False),
        loss=dict(type='KLDiscretLoss', use_target_weight=True, beta=10.0, label_softmax=True),
        decoder=codec,
    )
    return dict(head=head, test_cfg=dict(flip_test=True))


def dekr(channels: Sequence[int]) -> dict[str, Any]:
    """All streams, concatenated as in the published configs."""
    codec = dict(
        type='SPR',
        input_size=SIZE,
        heatmap_size=HEATMAP,
        sigma=(4, 2),
        minimal_diagonal_length=2,
        generate_keypoint_heatmaps=True,
    )
    head = dict(
        type='DEKRHead',
        in_channels=sum(channels),
        num_keypoints=NUM_KEYPOINTS,
        heatmap_loss=dict(type='KeypointMSELoss', use_target_weight=True),
        displacement_loss=dict(
            type='SoftWeightSmoothL1Loss', use_target_weight=True, supervise_empty=False
        ),
        decoder=codec,
    )
    return dict(
        neck=dict(type='FeatureMapProcessor', concat=True),
        head=head,
        test_cfg=dict(flip_test=True, nms_dist_thr=0.05, shift_heatmap=True),
    )


def associative_embedding(channels: Sequence[int]) -> dict[str, Any]:
    codec = dict(
        type='TrainableAssociativeEmbedding',
        input_size=SIZE,
        heatmap_size=HEATMAP,
        sigma=2,
        decode_topk=5,
        decode_keypoint_order=list(range(NUM_KEYPOINTS)),
        decode_max_instances=5,
    )
    head = dict(
        type='AssociativeEmbeddingHead',
        in_channels=channels[0],
        num_keypoints=NUM_KEYPOINTS,
        deconv_out_channels=None,
        keypoint_loss=dict(type='KeypointMSELoss', use_target_weight=True),
        tag_loss=dict(type='AssociativeEmbeddingLoss', loss_weight=0.001),
        decoder=codec | dict(heatmap_size=SIZE),
    )
    test = dict(flip_test=True, shift_heatmap=False, restore_heatmap_size=True)
    return dict(head=head, codec=codec, test_cfg=test)


TOP_DOWN = (simcc, simcc_with_visibility, rtmpose)
BOTTOM_UP = (dekr, associative_embedding)


def model_and_data(
    kind: Any, backbone: str, data_root: Path, estimator: str = 'TopdownPoseEstimator'
) -> dict[str, Any]:
    """Return a config of a stock head on a backbone of this package.

    Args:
        kind: One of ``TOP_DOWN`` or ``BOTTOM_UP``.
        backbone: Type of the backbone.
        data_root: Folder of a dataset in COCO format.
        estimator: Type of the estimator of top-down models.

    Returns:
        A config with ``model``, ``train_dataset`` and what stock's inferencer reads.
    """
    top_down = kind in TOP_DOWN
    parts = kind(CHANNELS[backbone])
    head = parts['head']
    codec = parts.pop('codec', None) or head.get('decoder') or head['pose_cfg']['decoder']
    options: dict[str, Any] = dict(type=f'hrnet_plugin.{backbone}', arch=ARCHS[backbone])
    if 'neck' in parts and len(CHANNELS[backbone]) > 1:
        options['multiscale_output'] = True
    model = dict(
        type=estimator if top_down else 'BottomupPoseEstimator',
        data_preprocessor=PREPROCESSOR,
        backbone=options,
        **parts,
    )
    load: list[dict[str, Any]] = [dict(type='LoadImage')]
    target = dict(type='GenerateTarget', encoder=codec)
    if top_down:
        load += [dict(type='GetBBoxCenterScale'), dict(type='TopdownAffine', input_size=SIZE)]
        train = [*load, target, dict(type='PackPoseInputs')]
        test = [*load, dict(type='PackPoseInputs')]
    else:
        affine = dict(type='BottomupRandomAffine', input_size=SIZE)
        mask = dict(type='BottomupGetHeatmapMask')
        train = [*load, affine, target, mask, dict(type='PackPoseInputs')]
        resize = dict(type='BottomupResize', input_size=SIZE, size_factor=32)
        test = [*load, resize, dict(type='PackPoseInputs', meta_keys=META_KEYS)]
    dataset = dict(
        type='CocoDataset',
        data_root=str(data_root),
        data_mode='topdown' if top_down else 'bottomup',
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        serialize_data=False,  # which collects garbage, for half a second
    )
    return dict(
        default_scope='mmpose',
        data_mode=dataset['data_mode'],
        dataset_type=dataset['type'],
        model=model,
        visualizer=dict(type='PoseLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]),
        train_dataset=dataset | dict(pipeline=train),
        test_dataloader=dict(dataset=dataset | dict(pipeline=test, test_mode=True)),
    )
