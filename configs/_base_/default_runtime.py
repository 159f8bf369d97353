"""Stock MMPose's runtime, with the plugin imported as soon as the config is read.

MMEngine finds the plugin's types without this; but inferencers load a checkpoint before they
look for a type, and it is the import that lets torch's safe loader read it.

A training may be killed at any moment: resumed, it ends with the same weights. A run whose
pipelines and model do not fit together is refused before it begins.
"""

_base_ = 'mmpose::_base_/default_runtime.py'

custom_imports = dict(imports=['hrnet_plugin'], allow_failed_imports=False)

default_hooks = dict(
    checkpoint=dict(type='hrnet_plugin.AtomicCheckpointHook'),
    exact_resume=dict(type='hrnet_plugin.ExactResumeHook'),
    preflight=dict(type='hrnet_plugin.PreflightHook'),
)
