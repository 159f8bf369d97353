"""The official 120 epochs of 20,210 images, 16 at a time."""

_base_ = './segmentation_160k.py'

max_iters = 120 * (20210 // 16)
optim_wrapper = dict(optimizer=dict(lr=0.02, weight_decay=1e-4))
param_scheduler = [dict(_base_.param_scheduler[0], end=max_iters, eta_min=0)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
default_hooks = dict(checkpoint=dict(interval=max_iters // 10))

# Of the 4 images of a GPU; MMSegmentation counts them per image.
hard_pixels = dict(type='OHEMPixelSampler', thresh=0.9, min_kept=131072 // 4)
