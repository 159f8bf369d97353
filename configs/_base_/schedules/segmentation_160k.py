"""MMSegmentation's 160,000 iterations: SGD at 0.01, which falls with the power 0.9."""

_base_ = [
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_160k.py',
    '../plugin.py',
]

default_hooks = _base_.plugin_hooks
