"""A short training from scratch on two cores: what the configs of configs/demo share."""

_base_ = '../plugin.py'

epochs = 3
warm_up = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100)
decay = dict(
    type='CosineAnnealingLR',
    eta_min_ratio=0.01,
    by_epoch=True,
    begin=0,
    end=epochs,
    convert_to_iter_based=True,
)
# Fused, a step of the optimizer takes a third as long on a CPU.
optimizer = dict(type='AdamW', lr=2e-3, weight_decay=0.05, fused=True)
demo_hooks = dict(
    _base_.plugin_hooks,
    checkpoint=dict(_base_.plugin_hooks.checkpoint, interval=1, max_keep_ckpts=2),
    logger=dict(type='LoggerHook', interval=10),
    channels_last=dict(type='hrnet_plugin.ChannelsLastHook'),
)
