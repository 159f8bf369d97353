"""Render images of people with annotations for several tasks, the same for the same seed.

`synthesize` writes a dataset, `render_scene` renders one image. Needs only numpy, OpenCV and
pycocotools, and Pillow for label maps.
"""

from .scene import Scene, render_scene
from .writer import Summary, scene_of, synthesize

__all__ = ['Scene', 'Summary', 'render_scene', 'scene_of', 'synthesize']
