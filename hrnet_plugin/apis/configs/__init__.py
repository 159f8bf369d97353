"""Configs: found by name, told from those of MMPose 0.x, checked with their data."""

from .names import config_names, find_config
from .versions import explain_old_config

__all__ = ['config_names', 'explain_old_config', 'find_config']
