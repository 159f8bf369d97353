"""Heatmaps: encode keypoints as Gaussians, decode them, measure accuracy."""
