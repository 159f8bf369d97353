"""What programs call."""

from .checkpoints import (
    Conversion,
    allow_mmengine_checkpoints,
    convert_checkpoint,
    convert_file,
    convert_state_dict,
    read_checkpoint,
)
from .configs import config_names, explain_old_config, find_config
from .inference import PoseInferencer

__all__ = [
    'Conversion',
    'PoseInferencer',
    'allow_mmengine_checkpoints',
    'config_names',
    'convert_checkpoint',
    'convert_file',
    'convert_state_dict',
    'explain_old_config',
    'find_config',
    'read_checkpoint',
]
