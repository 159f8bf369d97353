"""Checkpoints of small models with random weights that detect instances."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from .paths import ROOT

POSE = str(ROOT / 'tests/support/random_pose.py')
DETECTOR = str(ROOT / 'configs/demo/rtmdet_person.py')


def save_pose(path: Path) -> str:
    """Save a pose model whose heatmaps have distinct peaks, and return its path."""
    model: Any = build(POSE, 'mmpose')
    with torch.no_grad():
        nn.init.normal_(model.head.final_layer.weight, std=0.3)
    torch.save(dict(state_dict=model.state_dict()), path)
    return str(path)


def save_detector(path: Path) -> str:
    """Save a detector that detects a few instances in any image, and return its path."""
    model: Any = build(DETECTOR, 'mmdet')
    with torch.no_grad():
        for layer in model.bbox_head.rtm_cls:
            nn.init.normal_(layer.weight, std=1.0)
            nn.init.constant_(layer.bias, -1.0)
    meta = dict(dataset_meta=dict(classes=('person',)))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


def save_random_weights(config: str | Path, scope: str, path: Path) -> None:
    """Save a checkpoint with which any config runs; a detector with it detects hardly anything."""
    torch.save(dict(state_dict=build(Config.fromfile(config), scope).state_dict()), path)


def build(config: str | Config, scope: str) -> nn.Module:
    """Build a model with seeded weights and statistics of its norms."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(scope):
        cfg = config if isinstance(config, Config) else Config.fromfile(config)
        model = MODELS.build(cfg.model)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model
