"""Our top-down estimator against stock MMPose's."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.models import build_pose_estimator
from mmpose.structures import PoseDataSample
from mmpose.utils import register_all_modules

import hrnet_plugin

CODEC = dict(
    type='hrnet_plugin.GaussianHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=2
)
FLIP = dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True)


def config(**changes: Any) -> dict[str, Any]:
    return (
        dict(
            type='hrnet_plugin.TopdownPoseEstimator',
            backbone=dict(type='hrnet_plugin.HRNet', arch='w18-small-v1'),
            head=dict(
                type='hrnet_plugin.HeatmapHead', in_channels=16, out_channels=17, decoder=CODEC
            ),
            test_cfg=FLIP,
        )
        | changes
    )


@pytest.fixture(autouse=True, scope='module')
def _default_scope() -> None:
    register_all_modules()


def samples() -> list[PoseDataSample]:
    out = []
    for i in range(3):
        sample = PoseDataSample(
            metainfo=dict(
                input_center=np.array([50.0 + i, 60.0]),
                input_scale=np.array([80.0, 80.0]),
                input_size=(64, 64),
                flip_indices=[0, *range(16, 0, -1)],
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=np.array([[10.0, 20.0, 90.0, 100.0]]), bbox_scores=np.ones(1)
        )
        out.append(sample)
    return out


def predict(cfg: dict[str, Any], state: dict[str, torch.Tensor]) -> tuple[list, int]:
    """Predictions and how often the backbone ran."""
    model = build_pose_estimator(cfg).eval()
    model.load_state_dict(state, strict=True)
    calls = []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    x = torch.randn(3, 3, 64, 64, generator=torch.manual_seed(0))
    with torch.no_grad():
        return model.predict(x, samples()), len(calls)


@pytest.mark.parametrize('options', [FLIP, FLIP | dict(output_heatmaps=True), {}])
def test_equals_stocks_estimator_in_one_pass(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    cfg = config(test_cfg=options)
    state = build_pose_estimator(cfg).state_dict()
    ours, passes = predict(cfg, state)
    stock, stock_passes = predict(cfg | dict(type='TopdownPoseEstimator'), state)
    assert (passes, stock_passes) == (1, 2 if options else 1)
    assert len(ours) == len(stock) == 3
    for a, b in zip(ours, stock):
        np.testing.assert_array_equal(a.pred_instances.keypoints, b.pred_instances.keypoints)
        np.testing.assert_allclose(
            a.pred_instances.keypoint_scores, b.pred_instances.keypoint_scores, rtol=1e-5
        )
        assert ('pred_fields' in a) == ('pred_fields' in b) == ('output_heatmaps' in options)
        if 'pred_fields' in a:
            torch.testing.assert_close(a.pred_fields.heatmaps, b.pred_fields.heatmaps)


def test_config_is_left_as_it_was() -> None:
    cfg = config()
    before = copy.deepcopy(cfg)
    build_pose_estimator(cfg)
    assert cfg == before


def test_channels_are_checked_when_built() -> None:
    head = config()['head'] | dict(in_channels=32)
    with pytest.raises(ValueError, match=r'in_channels=32, but stream 0 .* has 16 channels'):
        build_pose_estimator(config(head=head))


@pytest.mark.parametrize('where', ['train_cfg', 'test_cfg'])
def test_misspelled_option(where: str) -> None:
    wrong = dict(train_cfg='compute_ac', test_cfg='flip_tset')[where]
    right = dict(train_cfg='compute_acc', test_cfg='flip_test')[where]
    with pytest.raises(ValueError, match=f"in {where} '{wrong}'; did you mean '{right}'"):
        build_pose_estimator(config(**{where: {wrong: True}}))


def test_parts_work_in_each_others_stock_company() -> None:
    """Stock's HRNet under our estimator and head: a backbone that announces no channels."""
    extra = hrnet_plugin.archs.HRNET_ARCHS['w18-small-v1'].extra
    model = build_pose_estimator(config(backbone=dict(type='HRNet', extra=extra)))
    model.eval()
    with torch.no_grad():
        results = model.predict(torch.rand(3, 3, 64, 64), samples())
    assert [r.pred_instances.keypoints.shape for r in results] == [(1, 17, 2)] * 3
