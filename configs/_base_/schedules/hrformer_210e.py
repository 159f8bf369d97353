"""HRFormer's published recipe: AdamW, which decays all but the tables of relative positions.

Its augmentation, rot_factor=40 and scale_factor=0.5 in MMPose 0.x, is the default of today's
RandomBBoxTransform. It was run in mixed precision: `mim train … --amp`, which needs a GPU.
"""

_base_ = './adam_210e.py'

optim_wrapper = dict(
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'relative_position_bias_table': dict(decay_mult=0)}),
)
auto_scale_lr = dict(base_batch_size=256)
