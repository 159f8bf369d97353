"""HRNet's 100 epochs: SGD with Nesterov's momentum, x0.1 after epochs 30, 60 and 90."""

_base_ = [
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    'mmpretrain::_base_/default_runtime.py',
    '../plugin.py',
]

optim_wrapper = dict(optimizer=dict(lr=0.05, nesterov=True))
auto_scale_lr = dict(base_batch_size=128)
default_hooks = _base_.plugin_hooks
