"""What programs call."""

from .checkpoint_files import read_checkpoint
from .config_names import config_names, find_config
from .config_versions import explain_old_config
from .convert import Conversion, convert_checkpoint, convert_file, convert_state_dict
from .inferencer import PoseInferencer
from .safe_globals import allow_mmengine_checkpoints

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
