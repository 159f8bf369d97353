"""Pure maths on arrays and tensors: no registry, no config, no OpenMMLab import."""

from ..utils.lazy_imports import lazy_names

_WINDOWS = 'hrnet_plugin.models.layers.windows'

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    __file__,
    former={
        name: f'{_WINDOWS}.{name}'
        for name in ('relative_position_index', 'window_merge', 'window_partition')
    },
)
