"""Predict poses in images and videos."""

from .backends import BackendOutput, PoseBackend
from .coco_results import CocoSummary, write_coco_results
from .inferencer import PoseInferencer

__all__ = ['BackendOutput', 'CocoSummary', 'PoseBackend', 'PoseInferencer', 'write_coco_results']
