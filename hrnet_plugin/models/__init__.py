"""Models: backbones, heads and the estimator that joins them."""

from .backbones import HRFormer, HRNet, LiteHRNet
from .estimators import TopdownPoseEstimator
from .heads import HeatmapHead

__all__ = ['HRFormer', 'HRNet', 'HeatmapHead', 'LiteHRNet', 'TopdownPoseEstimator']
