"""The official 150 epochs of 30,462 images, 40 at a time."""

_base_ = './segmentation_160k.py'

max_iters = 150 * (30462 // 40)
optim_wrapper = dict(optimizer=dict(lr=0.007))
param_scheduler = [dict(_base_.param_scheduler[0], end=max_iters, eta_min=0)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
default_hooks = dict(checkpoint=dict(interval=max_iters // 10))
