"""The official 200 epochs of 4,998 images, 16 at a time; heads learn ten times as fast."""

_base_ = './segmentation_160k.py'

max_iters = 200 * (4998 // 16)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10))),
)
param_scheduler = [dict(_base_.param_scheduler[0], end=max_iters, eta_min=0)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
default_hooks = dict(checkpoint=dict(interval=max_iters // 10))
