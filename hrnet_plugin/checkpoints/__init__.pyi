from .convert import Conversion as Conversion
from .convert import convert_checkpoint as convert_checkpoint
from .convert import convert_file as convert_file
from .convert import convert_state_dict as convert_state_dict
from .files import read_checkpoint as read_checkpoint
from .pretrained import PretrainedBackbone as PretrainedBackbone
from .safe_globals import allow_mmengine_checkpoints as allow_mmengine_checkpoints
