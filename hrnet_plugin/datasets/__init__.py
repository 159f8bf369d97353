"""Datasets in COCO's format: synthetic people, metainfo of others, fetching and collating."""

from ..utils.lazy_imports import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
