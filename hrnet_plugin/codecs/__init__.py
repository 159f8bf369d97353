"""Keypoint codecs: how keypoints become a network's targets, and its outputs keypoints again."""

from .gaussian_heatmap import GaussianHeatmap

__all__ = ['GaussianHeatmap']
