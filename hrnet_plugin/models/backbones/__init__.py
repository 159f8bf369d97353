"""Backbones: images to streams of features at several resolutions."""

from .hrformer import HRFormer
from .hrnet import HRNet
from .litehrnet import LiteHRNet

__all__ = ['HRFormer', 'HRNet', 'LiteHRNet']
