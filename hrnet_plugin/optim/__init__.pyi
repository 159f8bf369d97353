from .autocast import AutocastOptimWrapper as AutocastOptimWrapper
