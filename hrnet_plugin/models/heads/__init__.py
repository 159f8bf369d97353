"""Heads: streams of features to heatmaps and keypoints."""

from .heatmap_head import HeatmapHead

__all__ = ['HeatmapHead']
