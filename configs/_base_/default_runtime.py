"""Stock MMPose's runtime, with the plugin imported as soon as the config is read.

MMEngine finds the plugin's types without the import; but inferencers load a checkpoint before they
look for a type, and only the import lets torch's safe loader read it.

A run whose pipelines and model do not fit together stops before its first iteration.
"""

_base_ = ['mmpose::_base_/default_runtime.py', './plugin.py']

default_hooks = dict(
    **_base_.plugin_hooks,
    preflight=dict(type='hrnet_plugin.PreflightHook'),
)
