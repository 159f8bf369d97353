"""The official 484 epochs of 2,975 images, 12 at a time."""

_base_ = './segmentation_160k.py'

max_iters = 484 * (2975 // 12)
param_scheduler = [dict(_base_.param_scheduler[0], end=max_iters, eta_min=0)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
default_hooks = dict(checkpoint=dict(interval=max_iters // 10))
