from .names import config_names as config_names
from .names import find_config as find_config
from .versions import explain_old_config as explain_old_config
