"""The same for 24 epochs, whose warm-up MMDetection makes linear."""

_base_ = './fcos_hrnetv2p.py'

max_epochs = 24
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(_base_.param_scheduler[1], end=max_epochs, milestones=[16, 22]),
]
