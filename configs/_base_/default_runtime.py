"""Stock MMPose's runtime, with the plugin imported as soon as the config is read.

MMEngine finds the plugin's types without the import; but inferencers load a checkpoint before they
look for a type, and only the import lets torch's safe loader read it.

A training that is killed at any moment and resumed ends with the same weights. A run whose
pipelines and model do not fit together stops before its first iteration.
"""

_base_ = 'mmpose::_base_/default_runtime.py'

custom_imports = dict(imports=['hrnet_plugin'], allow_failed_imports=False)

default_hooks = dict(
    checkpoint=dict(type='hrnet_plugin.AtomicCheckpointHook'),
    exact_resume=dict(type='hrnet_plugin.ExactResumeHook'),
    preflight=dict(type='hrnet_plugin.PreflightHook'),
)
