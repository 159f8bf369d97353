"""HRFormer's 60,000 iterations."""

_base_ = './hrformer_80k.py'

max_iters = 60000
warm_up, poly = _base_.param_scheduler
param_scheduler = [warm_up, dict(poly, end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
default_hooks = dict(checkpoint=dict(interval=max_iters // 10))

# Of the 2 images of a GPU; MMSegmentation counts them per image.
hard_pixels = dict(thresh=0.7, min_kept=100000 // 2)
