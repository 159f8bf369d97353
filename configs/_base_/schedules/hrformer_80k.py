"""HRFormer's 80,000 iterations: AdamW, which decays neither norms nor tables of positions.

The loss of the last head counts only pixels that are hard.
"""

_base_ = './segmentation_160k.py'

max_iters = 80000
warm_up_iters = 1500
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        norm_decay_mult=0,
        custom_keys=dict(relative_position_bias_table=dict(decay_mult=0)),
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=warm_up_iters),
    dict(_base_.param_scheduler[0], eta_min=0, begin=warm_up_iters, end=max_iters),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 10)
default_hooks = dict(checkpoint=dict(interval=max_iters // 10))

hard_pixels = dict(type='OHEMPixelSampler', thresh=0.9, min_kept=100000)
