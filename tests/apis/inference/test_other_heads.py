"""Inferencers on our backbones with heads of stock MMPose."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmpose.apis import MMPoseInferencer
from mmpose.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from support.random_models import POSE
from support.stock_heads import TOP_DOWN, dekr, model_and_data

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.models.fuse import tensors


def saved(cfg: dict[str, Any], folder: Path) -> list[str]:
    """Config and random weights, as files."""
    config = Config(cfg)
    config.dump(folder / 'pose.py')
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = revert_sync_batchnorm(MODELS.build(config.model))
    with torch.no_grad():
        for module in model.head.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.normal_(module.weight, std=0.3)
    meta = dict(dataset_meta=parse_pose_metainfo(CocoDataset.METAINFO))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), folder / 'pose.pth')
    return [str(folder / 'pose.py'), str(folder / 'pose.pth')]


@pytest.mark.parametrize(('kind', 'backbone'), zip(TOP_DOWN, ('HRNet', 'HRNet', 'LiteHRNet')))
def test_top_down(tmp_path: Path, images: list[np.ndarray], kind: Any, backbone: str) -> None:
    """One head has no decoder, and nested outputs."""
    files = saved(model_and_data(kind, backbone, tmp_path), tmp_path)
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, images[0])
    results = []
    for inferencer in (
        MMPoseInferencer(*files, device='cpu', det_model='whole_image'),
        PoseInferencer(*files, device='cpu', det_model='whole_image'),
    ):
        (result,) = inferencer(path)
        (instance,) = result['predictions'][0]
        results.append(instance)
    stock, ours = results
    assert np.ptp(ours['keypoints'], axis=0).min() > 10
    np.testing.assert_allclose(ours['keypoints'], stock['keypoints'], atol=1e-3)
    np.testing.assert_allclose(ours['keypoint_scores'], stock['keypoint_scores'], atol=1e-5)


@pytest.mark.parametrize('mixing', [False, True])
def test_all_streams(tmp_path: Path, images: list[np.ndarray], mixing: bool) -> None:
    """HRNetV2 under our head: as stock's inferencer, which does not rewrite the network."""
    config = Config.fromfile(POSE)
    config.model.backbone.multiscale_output = True
    config.model.neck = dict(
        type='hrnet_plugin.ConcatStreams', in_channels=(16, 32, 64, 128), mixing=mixing
    )
    config.model.head.in_channels = 240
    files = saved(config.to_dict(), tmp_path)
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, images[0])
    stock, ours = (
        next(kind(*files, device='cpu', det_model='whole_image')(path))['predictions'][0][0]
        for kind in (MMPoseInferencer, PoseInferencer)
    )
    assert np.ptp(ours['keypoints'], axis=0).min() > 10
    np.testing.assert_allclose(ours['keypoints'], stock['keypoints'], atol=1e-3)
    np.testing.assert_allclose(ours['keypoint_scores'], stock['keypoint_scores'], atol=1e-5)


def test_bottom_up_is_left_to_stocks_inferencer(tmp_path: Path, images: list[np.ndarray]) -> None:
    files = saved(model_and_data(dekr, 'HRNet', tmp_path), tmp_path)
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, images[0])
    (result,) = MMPoseInferencer(*files, device='cpu')(path)
    assert len(result['predictions'][0]) > 0
    with pytest.raises(ValueError, match='use MMPoseInferencer for it'):
        PoseInferencer(*files, device='cpu')


def test_nested_outputs() -> None:
    a, b, c = torch.rand(3, 2)
    assert [t.tolist() for t in tensors(((a, b), dict(c=[c]), None))] == [
        a.tolist(),
        b.tolist(),
        c.tolist(),
    ]
