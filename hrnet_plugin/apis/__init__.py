"""What programs call."""

from .checkpoint_files import read_checkpoint
from .convert import Conversion, convert_checkpoint, convert_file, convert_state_dict
from .inferencer import PoseInferencer
from .safe_globals import allow_mmengine_checkpoints

__all__ = [
    'Conversion',
    'PoseInferencer',
    'allow_mmengine_checkpoints',
    'convert_checkpoint',
    'convert_file',
    'convert_state_dict',
    'read_checkpoint',
]
