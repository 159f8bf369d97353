from . import archs as archs
from .backbones import HRFormer as HRFormer
from .backbones import HRNet as HRNet
from .backbones import LiteHRNet as LiteHRNet
from .estimators import TopdownPoseEstimator as TopdownPoseEstimator
from .heads import HeatmapHead as HeatmapHead
