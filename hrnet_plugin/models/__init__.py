"""Models: backbones, heads and the estimator that joins them."""

from .backbones import HRNet
from .estimators import TopdownPoseEstimator
from .heads import HeatmapHead

__all__ = ['HRNet', 'HeatmapHead', 'TopdownPoseEstimator']
