"""A codec of one's own, whose targets are no heatmaps, goes everywhere without other code."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.utils import register_all_modules
from support.small_run import small_run, step, write_image_and_annotations
from torch import Tensor, nn

from hrnet_plugin.checks.config import check_config
from hrnet_plugin.codecs import KeypointCodec
from hrnet_plugin.models import HeatmapHead

PROFILES = dict(type='Profiles', input_size=(64, 64))


@KEYPOINT_CODECS.register_module(force=True)
class Profiles(KeypointCodec, BaseKeypointCodec):
    """The pixel of each keypoint along x and along y, one-hot, in the way of SimCC."""

    label_mapping_table: ClassVar = dict(x='x', y='y', keypoint_weights='keypoint_weights')

    def __init__(self, input_size: tuple[int, int], num_keypoints: int | None = None) -> None:
        self.input_size = tuple(input_size)
        self._num_keypoints = num_keypoints

    @property
    def is_udp(self) -> bool:
        return False

    @property
    def num_keypoints(self) -> int | None:
        return self._num_keypoints

    def target_shapes(self, num_keypoints: int) -> dict[str, tuple[int, ...]]:
        width, height = self.input_size
        return dict(x=(num_keypoints, width), y=(num_keypoints, height))

    def encode_batch(self, keypoints: Any, visible: Any = None) -> tuple[Any, Any]:
        pixels = keypoints.round()[..., None, :].clip(0, 63)
        x, y = ((pixels[..., i] == np.arange(64)).astype(np.float32) for i in (0, 1))
        return (x, y), np.ones(keypoints.shape[:2]) if visible is None else visible

    def decode_batch(self, encoded: Any) -> tuple[Any, Any]:
        x, y = encoded
        return np.stack([x.argmax(-1), y.argmax(-1)], -1), np.minimum(x.max(-1), y.max(-1))

    def to_heatmaps(self, encoded: Any) -> Any:
        x, y = encoded
        return y[..., :, None] * x[..., None, :]

    def encode(self, keypoints: Any, keypoints_visible: Any = None) -> dict[str, Any]:
        (x, y), weights = self.encode_batch(keypoints, keypoints_visible)
        return dict(x=x, y=y, keypoint_weights=weights)

    def decode(self, encoded: Any) -> tuple[Any, Any]:
        return self.decode_batch(encoded)


@MODELS.register_module(force=True)
class ProfilesHead(nn.Module):
    """Features to a profile along x and one along y."""

    def __init__(self, width: int, decoder: dict[str, Any]) -> None:
        super().__init__()
        self.out_channels = 17
        self.layer = nn.Conv2d(4, 17 * 16, 1)
        self.width = width
        self.decoder = KEYPOINT_CODECS.build(decoder)

    def forward(self, feats: tuple[Tensor]) -> tuple[Tensor, Tensor]:
        maps = self.layer(feats[0])[..., :1, :].reshape(1, 17, -1)
        return maps[..., : self.width], maps[..., :64]


@pytest.fixture(autouse=True, scope='module')
def _default_scope() -> None:
    register_all_modules()


def errors(tmp_path: Path, width: int = 64, **changes: Any) -> list[str]:
    """All errors of the check of a config with this codec; contact sheets have to be right."""
    write_image_and_annotations(tmp_path)
    cfg = small_run(tmp_path, tmp_path, PROFILES)
    cfg.model.head = dict(type='ProfilesHead', width=width, decoder=PROFILES)
    cfg.model.test_cfg = {}
    for name, value in changes.items():
        if name == 'use_udp':
            step(cfg, 'train', 'TopdownAffine').use_udp = value
        else:
            step(cfg, 'train', 'GenerateTarget').encoder[name] = value
    report = check_config(cfg, draw=True)
    if not changes:
        sheet = report.sheets['train']
        assert sheet.shape[1] == 6 + 2 * 224 + 6  # the crop, and next to it its heatmaps
        heat = sheet[6:-6, 6 + 224 : -6].astype(int)
        red = (heat[..., 2] > 100) & (heat[..., :2].max(-1) < 30)
        assert 0 < red.sum() < 100
    return [f.message for f in report.findings if f.is_error]


def test_a_fitting_one_passes_checks_and_is_drawn(tmp_path: Path) -> None:
    assert errors(tmp_path) == []


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(use_udp=True), 'use_udp=True, but the codec of GenerateTarget does not follow UDP'),
        (dict(input_size=(64, 32)), 'y of size (32,), but head.decoder of size (64,)'),
        (dict(num_keypoints=5), 'GenerateTarget does not fit the dataset: 17 keypoints, but the'),
        (
            dict(width=48),
            'its x are size (48,) of an input of (64, 64), but head.decoder has size',
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_others_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert any(message in error for error in errors(tmp_path, **changes))


def test_heatmap_head_refuses_targets_that_are_no_heatmaps() -> None:
    with pytest.raises(ValueError, match=r"Profiles have the shapes {'x': \(17, 64\), .* another"):
        HeatmapHead(4, 17, decoder=PROFILES)


def test_heatmap_head_encodes_and_names_targets_as_the_codec_does() -> None:
    @KEYPOINT_CODECS.register_module(force=True)
    class Maps(Profiles):
        def target_shapes(self, num_keypoints: int) -> dict[str, tuple[int, ...]]:
            return dict(maps=(num_keypoints, *self.input_size))

        def encode_batch(self, keypoints: Any, visible: Any = None) -> tuple[Any, Any]:
            return torch.full((1, 17, 64, 64), 7.0), visible

    from mmengine.structures import InstanceData, PixelData
    from mmpose.structures import PoseDataSample

    head = HeatmapHead(4, 17, decoder=dict(PROFILES, type='Maps'))
    sample = PoseDataSample()
    sample.gt_instance_labels = InstanceData(
        keypoint_labels=torch.ones(1, 17, 3), keypoint_weights=torch.ones(1, 17)
    )
    assert head.targets([sample])[0].unique().tolist() == [7]
    sample.gt_fields = PixelData(maps=torch.full((17, 64, 64), 5.0))
    assert head.targets([sample])[0].unique().tolist() == [5]
