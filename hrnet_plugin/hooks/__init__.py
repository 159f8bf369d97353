"""Hooks: what is done in MMEngine's runs besides training and testing."""

from ..utils.lazy_imports import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
