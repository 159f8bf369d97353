"""HRNet, Lite-HRNet and HRFormer pose estimation as an MMPose plugin.

Importing the package registers its parts with OpenMMLab's registries, as ``hrnet_plugin.HRNet``
and so on, and lets torch's safe loader read MMEngine's checkpoints.
"""

from .requirements import check_requirements
from .version import __version__

check_requirements()

from . import codecs, evaluation, functional, hooks, models  # noqa: E402
from .apis import allow_mmengine_checkpoints  # noqa: E402
from .codecs import GaussianHeatmap  # noqa: E402
from .evaluation import OKSMetric  # noqa: E402
from .hooks import AtomicCheckpointHook, ExactResumeHook, PreflightHook  # noqa: E402
from .models import HeatmapHead, HRFormer, HRNet, LiteHRNet, TopdownPoseEstimator  # noqa: E402

allow_mmengine_checkpoints()

__all__ = [
    'AtomicCheckpointHook',
    'ExactResumeHook',
    'GaussianHeatmap',
    'HRFormer',
    'HRNet',
    'HeatmapHead',
    'LiteHRNet',
    'OKSMetric',
    'PreflightHook',
    'TopdownPoseEstimator',
    '__version__',
    'codecs',
    'evaluation',
    'functional',
    'hooks',
    'models',
]
