"""What each runtime gains from the plugin.

The import lets torch's safe loader read MMEngine's checkpoints. A training that is killed at any
moment and resumed ends with the same weights; where it counts iterations, as in segmentation, only
with randomness=dict(seed=…).
"""

custom_imports = dict(imports=['hrnet_plugin'], allow_failed_imports=False)

plugin_hooks = dict(
    checkpoint=dict(type='hrnet_plugin.AtomicCheckpointHook'),
    exact_resume=dict(type='hrnet_plugin.ExactResumeHook'),
)
