"""Export: a trained model as one ONNX file, and runtimes that run it without PyTorch."""

from ..utils.lazy_imports import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
