"""Keypoint codecs: how keypoints become a network's targets, and its outputs keypoints again."""

from .gaussian_heatmap import GaussianHeatmap, follows_udp, shift_error

__all__ = ['GaussianHeatmap', 'follows_udp', 'shift_error']
