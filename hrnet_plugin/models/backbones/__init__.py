"""Backbones: images to streams of features at several resolutions."""

from .hrnet import HRNet

__all__ = ['HRNet']
