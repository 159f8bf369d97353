"""HRNet, Lite-HRNet and HRFormer pose estimation as an MMPose plugin.

Importing the package registers its parts with OpenMMLab's registries, as ``hrnet_plugin.HRNet``
and so on, and lets torch's safe loader read MMEngine's checkpoints.
"""

from .requirements import check_requirements, doctor_is_called
from .version import __version__

if not doctor_is_called():
    check_requirements()

    from . import codecs, evaluation, functional, hooks, models
    from .apis import allow_mmengine_checkpoints
    from .codecs import GaussianHeatmap
    from .evaluation import OKSMetric
    from .hooks import AtomicCheckpointHook, ChannelsLastHook, ExactResumeHook, PreflightHook
    from .models import HeatmapHead, HRFormer, HRNet, LiteHRNet, TopdownPoseEstimator

    allow_mmengine_checkpoints()

__all__ = [
    'AtomicCheckpointHook',
    'ChannelsLastHook',
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
