"""HRNet, Lite-HRNet and HRFormer pose estimation as an MMPose plugin.

Importing the package imports nothing else: its names are imported when they are used, and its
classes are registered, as ``hrnet_plugin.HRNet`` and so on, when a registry is asked for one.
What other code relies on after ``import hrnet_plugin`` is there as soon as its package is: torch's
safe loader reads MMEngine's checkpoints, and ``_base_ = 'hrnet_plugin::…'`` finds our configs.
"""

from .utils.former_modules import find_former_modules
from .utils.lazy_imports import lazy_names, when_imported
from .version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)


def _allow_checkpoints() -> None:
    from .checkpoints.safe_globals import allow_mmengine_checkpoints

    allow_mmengine_checkpoints()


def _announce_configs() -> None:
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE[__name__] = __name__


when_imported('torch', _allow_checkpoints)
when_imported('mmengine.config.utils', _announce_configs)
find_former_modules()
