"""Necks: several streams to the representation that a task needs."""

from .classification_neck import ClassificationNeck
from .concat_streams import ConcatStreams
from .hrfpn import HRFPN

__all__ = ['HRFPN', 'ClassificationNeck', 'ConcatStreams']
