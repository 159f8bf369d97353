"""HRFormer's 300 epochs: Swin's, AdamW at 5e-4 for 512 images."""

_base_ = [
    'mmpretrain::_base_/schedules/imagenet_bs1024_adamw_swin.py',
    'mmpretrain::_base_/default_runtime.py',
    '../plugin.py',
]

optim_wrapper = dict(clip_grad=dict(max_norm=5.0))
default_hooks = _base_.plugin_hooks
