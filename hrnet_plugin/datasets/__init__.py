"""Data sets in COCO's format: synthetic people, metainfo of others, and checks (``preflight``)."""

from .metainfo import metainfo_from_coco
from .synthetic import Scene, Summary, render_scene, scene_of, synthesize

__all__ = ['Scene', 'Summary', 'metainfo_from_coco', 'render_scene', 'scene_of', 'synthesize']
