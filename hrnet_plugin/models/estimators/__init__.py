"""Estimators: preprocessor, backbone and head as one model."""

from .topdown import TopdownPoseEstimator

__all__ = ['TopdownPoseEstimator']
