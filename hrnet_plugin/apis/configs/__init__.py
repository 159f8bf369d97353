"""Configs: found by name, told from those of MMPose 0.x, checked with their data."""

from ...utils.lazy_imports import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
