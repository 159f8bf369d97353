"""Check the checkpoints that a config names, without reading any."""

import os
from typing import Any

from mmengine.config import Config

from .findings import Findings


def check_checkpoint_paths(config: Config) -> Findings:
    """Check whether the files of ``load_from``, ``checkpoint`` and ``pretrained`` exist.

    Args:
        config: A config of MMPose.

    Returns:
        The findings.
    """
    findings = Findings('config')

    def check(where: str, value: Any, is_checkpoint: bool) -> None:
        if is_checkpoint:
            if isinstance(value, str) and '://' not in value and not os.path.exists(value):
                findings.error(f'{where} is {value}, which does not exist')
        elif isinstance(value, (dict, list, tuple)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for name, item in items:
                check(f'{where}.{name}', item, name in ('pretrained', 'checkpoint'))

    check('model', config.get('model'), False)
    check('load_from', config.get('load_from'), True)
    return findings


def without_weights(cfg: Any) -> Any:
    """Remove every checkpoint from a model's config, in place, and return it."""
    if isinstance(cfg, dict):
        for name, value in cfg.items():
            is_path = name == 'pretrained' and isinstance(value, str)
            cfg[name] = None if is_path or _is_pretrained(value) else without_weights(value)
    elif isinstance(cfg, list):
        return [without_weights(item) for item in cfg if not _is_pretrained(item)]
    return cfg


def _is_pretrained(cfg: Any) -> bool:
    return isinstance(cfg, dict) and cfg.get('type') == 'Pretrained'
