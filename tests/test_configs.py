"""Every config: builds, and says what stock MMPose's config of the same name says."""

from pathlib import Path
from typing import Any

import mmpose
import pytest
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpose.models import build_pose_estimator
from mmpose.registry import METRICS
from mmpose.utils import register_all_modules

ROOT = Path(__file__).parent.parent
COCO = ROOT / 'configs/body_2d_keypoint/topdown_heatmap/coco'
STOCK = Path(mmpose.__file__).parent / '.mim/configs/body_2d_keypoint/topdown_heatmap/coco'
CONFIGS = sorted(COCO.glob('td-hm_*.py'))
# What differs from stock on purpose: the types, and how the architecture is written.
OURS = {
    'CocoMetric': 'hrnet_plugin.OKSMetric',
    'HRNet': 'hrnet_plugin.HRNet',
    'HeatmapHead': 'hrnet_plugin.HeatmapHead',
    'MSRAHeatmap': 'hrnet_plugin.GaussianHeatmap',
    'TopdownPoseEstimator': 'hrnet_plugin.TopdownPoseEstimator',
}
SETTINGS = (
    'train_cfg',
    'optim_wrapper',
    'param_scheduler',
    'auto_scale_lr',
    'default_hooks',
    'codec',
    'model',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'val_evaluator',
    'test_evaluator',
)


@pytest.fixture(autouse=True)
def _default_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('COCO_ROOT', raising=False)
    register_all_modules()


def plain(config: Config) -> dict[str, Any]:
    """A config's settings with our names for types, and without what MMEngine adds to them."""

    def tidy(value: Any) -> Any:
        if isinstance(value, dict):
            items = {k: tidy(v) for k, v in value.items() if k != '_scope_'}
            if 'type' in items:
                items['type'] = OURS.get(items['type'], items['type'])
            if items.get('type') == 'hrnet_plugin.HRNet':
                items.pop('extra', None)
                items.pop('arch', None)
                items.pop('in_channels', None)
            if items.get('type') == 'hrnet_plugin.HeatmapHead':
                items.pop('deconv_out_channels', None)
                items.pop('loss', None)
            return items
        if isinstance(value, (list, tuple)):
            return [tidy(v) for v in value]
        return value.replace('data/coco//', 'data/coco/') if isinstance(value, str) else value

    settings = tidy({name: config.get(name) for name in SETTINGS})
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        root = settings[name]['dataset']['data_root']
        settings[name]['dataset']['data_root'] = root.rstrip('/')
    return settings


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
class TestCocoConfigs:
    def test_says_what_stock_says(self, path: Path) -> None:
        assert plain(Config.fromfile(path)) == plain(Config.fromfile(STOCK / path.name))

    def test_builds_the_model_of_stock(self, path: Path) -> None:
        ours, stock = (
            build_pose_estimator(Config.fromfile(folder / path.name).model)
            for folder in (COCO, STOCK)
        )
        ours.load_state_dict(stock.state_dict(), strict=True)
        assert ours.head.loss_module.use_target_weight == stock.head.loss_module.use_target_weight

    def test_optimiser_and_metric(self, path: Path, tmp_path: Path) -> None:
        config = Config.fromfile(path)
        model = build_pose_estimator(config.model)
        optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
        assert type(optimizer).__name__ == 'Adam'
        assert [group['lr'] for group in optimizer.param_groups] == [5e-4]
        assert config.auto_scale_lr.base_batch_size == 512
        assert METRICS.get(config.val_evaluator.type).__name__ == 'OKSMetric'

    def test_coco_root_is_read_from_the_environment(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv('COCO_ROOT', '/some/where')
        config = Config.fromfile(path)
        assert config.train_dataloader.dataset.data_root == '/some/where'
        assert config.val_evaluator.ann_file.startswith('/some/where/annotations/')
        assert config.test_dataloader.dataset.bbox_file.startswith('/some/where/person_')


def test_index_lists_every_config() -> None:
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    models = [m for f in index['Import'] for m in yaml.safe_load((ROOT / f).read_text())['Models']]
    assert sorted(ROOT / m['Config'] for m in models) == CONFIGS
    assert [m['Name'] for m in models] == [Path(m['Config']).stem for m in models]
