"""Checkpoint files: read safely, recognised, converted."""

from .convert import Conversion, convert_checkpoint, convert_file, convert_state_dict
from .files import read_checkpoint
from .safe_globals import allow_mmengine_checkpoints

__all__ = [
    'Conversion',
    'allow_mmengine_checkpoints',
    'convert_checkpoint',
    'convert_file',
    'convert_state_dict',
    'read_checkpoint',
]
