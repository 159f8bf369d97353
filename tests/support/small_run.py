"""A run that takes a second: one image of one person, and a backbone of one convolution."""

import json
from pathlib import Path
from typing import Any

import cv2
import mmpose
import numpy as np
from mmengine.config import Config, ConfigDict
from mmpose.registry import MODELS
from torch import Tensor, nn

METAINFO = str(Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets/coco.py')
SIZES = dict(input_size=(64, 64), heatmap_size=(16, 16), sigma=2)
OURS = dict(type='hrnet_plugin.GaussianHeatmap', **SIZES)
UDP = OURS | dict(variant='udp')
STOCK_MSRA = dict(type='MSRAHeatmap', **SIZES)
STOCK_UDP = dict(type='UDPHeatmap', **SIZES)


@MODELS.register_module(force=True)
class OneConvolution(nn.Conv2d):
    """Images to 4 channels of a quarter of their size."""

    def __init__(self) -> None:
        super().__init__(3, 4, 4, stride=4)

    def forward(self, x: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (super().forward(x),)


def write_image_and_annotations(root: Path) -> None:
    """Write one image, and one person in COCO's format."""
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    cv2.imwrite(str(root / '1.png'), noise)
    person = dict(
        id=1,
        image_id=1,
        category_id=1,
        bbox=[10, 10, 50, 60],
        area=3000,
        iscrowd=0,
        num_keypoints=17,
        keypoints=[30, 40, 2] * 17,
    )
    annotations = dict(
        images=[dict(id=1, file_name='1.png', width=80, height=80)],
        annotations=[person],
        categories=[dict(id=1, name='person')],
    )
    (root / 'people.json').write_text(json.dumps(annotations))


def small_run(root: Path, work_dir: Path, codec: dict[str, Any], udp: bool = False) -> Config:
    """Config of a run in which everything agrees, on the data of the function above.

    Args:
        root: Folder of the data.
        work_dir: Folder for what the run writes.
        codec: Config of encoder and decoder.
        udp: Whether the affine follows UDP.
    """
    load = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(64, 64), use_udp=udp),
    ]
    dataset = dict(
        type='CocoDataset',
        data_root=str(root),
        data_mode='topdown',
        ann_file='people.json',
        data_prefix=dict(img=''),
        metainfo=dict(from_file=METAINFO),
        serialize_data=False,  # which collects garbage, for half a second
    )
    train = [*load, dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')]
    loader = dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    test_loader = loader | dict(
        dataset=dataset | dict(pipeline=[*load, dict(type='PackPoseInputs')], test_mode=True)
    )
    evaluator = dict(type='hrnet_plugin.OKSMetric', ann_file=str(root / 'people.json'))
    return Config(
        dict(
            default_scope='mmpose',
            work_dir=str(work_dir),
            experiment_name=work_dir.name,
            log_level='ERROR',
            custom_hooks=[dict(type='hrnet_plugin.PreflightHook')],
            model=dict(
                type='TopdownPoseEstimator',
                data_preprocessor=dict(type='PoseDataPreprocessor'),
                backbone=dict(type='OneConvolution'),
                head=dict(
                    type='hrnet_plugin.HeatmapHead', in_channels=4, out_channels=17, decoder=codec
                ),
                test_cfg=dict(flip_test=True, shift_heatmap=not udp),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            val_cfg=dict(),
            test_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
            train_dataloader=loader | dict(dataset=dataset | dict(pipeline=train)),
            val_dataloader=test_loader,
            test_dataloader=test_loader,
            val_evaluator=evaluator,
            test_evaluator=evaluator,
        )
    )


def step(cfg: Config, phase: str, name: str) -> ConfigDict:
    """The first transform of this type in the pipeline of a phase."""
    pipeline = cfg[f'{phase}_dataloader'].dataset.pipeline
    return next(s for s in pipeline if s['type'] == name)
