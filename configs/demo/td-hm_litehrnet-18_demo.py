"""The demo with Lite-HRNet-18."""

_base_ = './td-hm_hrnet-w18-small-v1_demo.py'

model = dict(
    backbone=dict(_delete_=True, type='hrnet_plugin.LiteHRNet', arch='lite-18', init_cfg=None),
    head=dict(in_channels=40),
)
train_dataloader = dict(batch_size=32)
# Depthwise convolutions take longer in bfloat16 on a CPU.
optim_wrapper = dict(precision='float32', optimizer=dict(lr=8e-3))

max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
warm_up, decay = _base_.param_scheduler
param_scheduler = [dict(warm_up, end=100), dict(decay, end=max_epochs)]
