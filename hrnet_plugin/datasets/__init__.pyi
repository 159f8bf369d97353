from .collate import stack_inputs as stack_inputs
from .metainfo import metainfo_from_coco as metainfo_from_coco
from .synthetic import Scene as Scene
from .synthetic import Summary as Summary
from .synthetic import render_scene as render_scene
from .synthetic import scene_of as scene_of
from .synthetic import synthesize as synthesize
