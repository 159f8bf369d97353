"""Deterministic pictures of people with COCO annotations.

`synthesize` writes a data set, `render_scene` draws one picture. Needs only numpy,
OpenCV and pycocotools.
"""

from .scene import Scene, render_scene
from .writer import Summary, scene_of, synthesize

__all__ = ['Scene', 'Summary', 'render_scene', 'scene_of', 'synthesize']
