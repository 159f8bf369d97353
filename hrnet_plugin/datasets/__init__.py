"""Datasets in COCO format: synthetic people, metainfo of others, and checks (``preflight``)."""

from ..utils.lazy_imports import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
