"""The published recipes and models, as ``configs/_base_`` has them."""

from typing import Any

from mmengine.config import Config

from ...models.families import find_arch
from ...utils.model_index import MIM
from .config_text import to_plain
from .derive import Recipe

BASES = MIM / 'configs/_base_'
# Of each family: its schedule, and a model whose architecture is replaced
FILES = {
    'HRNet': ('adam_210e', 'hrnet_w32'),
    'LiteHRNet': ('litehrnet_210e', 'litehrnet_18'),
    'HRFormer': ('hrformer_210e', 'hrformer_tiny'),
}


def read_recipe(arch: str) -> Recipe:
    """Return the published recipe of an architecture's family.

    Args:
        arch: Key of ``ARCH_NAMES``.

    Raises:
        ValueError: There is no such architecture.
    """
    family, _ = find_arch(arch)
    cfg = Config.fromfile(BASES / f'schedules/{FILES[family.name][0]}.py')
    warmup, steps = cfg.param_scheduler
    return Recipe(
        optimizer=dict(cfg.optim_wrapper.optimizer),
        paramwise=to_plain(cfg.optim_wrapper.get('paramwise_cfg')),
        batch_size=cfg.auto_scale_lr.base_batch_size,
        epochs=cfg.train_cfg.max_epochs,
        warmup=warmup.end,
        milestones=tuple(steps.milestones),
        augmentation=to_plain(cfg.get('augmentation')) or {},
    )


def read_model(arch: str) -> dict[str, Any]:
    """Return the config of a published pose model, without weights, of any architecture.

    Args:
        arch: Key of ``ARCH_NAMES``.

    Raises:
        ValueError: There is no such architecture.
    """
    family, name = find_arch(arch)
    model = to_plain(Config.fromfile(BASES / f'models/{FILES[family.name][1]}.py').model)
    model['backbone'] |= dict(arch=name, init_cfg=None)
    model['head']['in_channels'] = family.archs[name].spec.out_channels[0]
    return model


def read_data() -> dict[str, Any]:
    """Return the published pipelines, loaders and codec, for any dataset."""
    return to_plain(Config.fromfile(BASES / 'datasets/topdown_256x192.py')._cfg_dict)
