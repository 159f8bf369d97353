"""Poses in pictures and videos: inputs, boxes, crops in batches, tracks, outputs."""

from .inferencer import PoseInferencer

__all__ = ['PoseInferencer']
