"""Data sets: synthetic people in COCO's format; ``preflight`` checks those of others."""

from .synthetic import Scene, Summary, render_scene, scene_of, synthesize

__all__ = ['Scene', 'Summary', 'render_scene', 'scene_of', 'synthesize']
