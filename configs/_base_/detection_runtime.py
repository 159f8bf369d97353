_base_ = ['mmdet::_base_/default_runtime.py', './plugin.py']

default_hooks = _base_.plugin_hooks
