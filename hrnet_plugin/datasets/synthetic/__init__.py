"""Render images of people with COCO annotations, the same for the same seed.

`synthesize` writes a dataset, `render_scene` renders one image. Needs only numpy, OpenCV and
pycocotools.
"""

from .scene import Scene, render_scene
from .writer import Summary, scene_of, synthesize

__all__ = ['Scene', 'Summary', 'render_scene', 'scene_of', 'synthesize']
