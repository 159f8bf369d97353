"""Names of the plugin's configs in its own lookup, MMEngine, MMPose and `mim`."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from mmengine.registry import DefaultScope, init_default_scope
from mmpose.apis import MMPoseInferencer
from mmpose.apis.inferencers import get_model_aliases
from mmpose.models import build_pose_estimator
from support.paths import ROOT

from hrnet_plugin import HRNet, TopdownPoseEstimator
from hrnet_plugin.apis import config_names, find_config

W32 = 'td-hm_hrnet-w32_8xb64-210e_coco-256x192'
FOLDER = 'body_2d_keypoint/topdown_heatmap/coco'


@pytest.fixture(autouse=True)
def _scope_is_left_as_it_was():
    before = DefaultScope.get_current_instance()
    yield
    init_default_scope(before.scope_name if before else 'mmpose')


@pytest.mark.parametrize('name', ['hrnet-w32_coco-256x192', W32, f'{W32}.py'])
def test_finds_a_config(name: str) -> None:
    assert find_config(name).resolve() == ROOT / 'configs' / FOLDER / f'{W32}.py'


def test_every_name_is_a_file() -> None:
    names = config_names()
    assert len(names) > 40
    assert all(path.is_file() for path in names.values())
    assert find_config(str(ROOT / 'setup.cfg')) == ROOT / 'setup.cfg'


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('hrnet-w23_coco-256x192', "did you mean 'hrnet-w32_coco-256x192'?"),
        ('litehrnet18_coco-256x192', "did you mean 'litehrnet-18_coco-256x192'?"),
        ('configs/nowhere.py', 'the config configs/nowhere.py does not exist'),
    ],
)
def test_misspelled_name_gives_the_closest(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=r'unknown config|does not exist') as error:
        find_config(name)
    assert message in str(error.value)


def test_mmengine_and_mmpose_list_our_models() -> None:
    listed = BaseInferencer.list_models('hrnet_plugin', patterns='hrnet-w32')
    assert 'hrnet-w32_coco-256x192' in listed
    aliases = get_model_aliases('hrnet_plugin')
    assert aliases['hrnet-w32_coco-256x192'] == W32
    assert aliases.keys() <= config_names().keys()


def test_base_of_another_config(tmp_path: Path) -> None:
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = 'hrnet_plugin::{FOLDER}/{W32}.py'\n"
        "model = dict(backbone=dict(arch='w18-small-v1'), head=dict(in_channels=16))"
    )
    config = Config.fromfile(path)
    assert config.train_cfg.max_epochs == 210
    init_default_scope('mmpose')
    model = build_pose_estimator(config.model)
    assert type(model) is TopdownPoseEstimator
    assert type(model.backbone) is HRNet


def test_inferencer_takes_an_alias(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights are not downloaded: loading is replaced."""
    asked: list[str] = []

    def load(filename: str, map_location: str | None = None, logger: object = None) -> dict:
        asked.append(filename)
        return dict(state_dict={}, meta={})

    monkeypatch.setattr('mmengine.infer.infer._load_checkpoint', load)
    for weights in (None, 'mine.pth'):
        inferencer = MMPoseInferencer(
            'hrnet-w32_coco-256x192', weights, scope='hrnet_plugin', det_model='whole_image'
        ).inferencer
        assert type(inferencer.model) is TopdownPoseEstimator
        assert type(inferencer.model.backbone) is HRNet
    assert asked[0].startswith('https://download.openmmlab.com/')
    assert asked[0].endswith('/td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth')
    assert asked[1] == 'mine.pth'
    (result,) = inferencer(torch.zeros(64, 48, 3, dtype=torch.uint8).numpy())
    assert len(result['predictions'][0][0]['keypoints']) == 17


def test_mim_search_finds_them() -> None:
    program = Path(sys.executable).parent / 'mim'
    found = subprocess.run(
        [program, 'search', 'hrnet_plugin', '--model', 'HRNet'], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert W32 in ''.join(found.stdout.split())
