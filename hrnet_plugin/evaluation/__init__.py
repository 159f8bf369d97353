"""Metrics for OpenMMLab's evaluator."""

from .oks_metric import OKSMetric

__all__ = ['OKSMetric']
