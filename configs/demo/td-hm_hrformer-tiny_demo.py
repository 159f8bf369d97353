"""The demo with HRFormer-T."""

_base_ = './td-hm_hrnet-w18-small-v1_demo.py'

model = dict(
    # Windows of 8x6 tokens tile the maps but the smallest: with 7x7, a fifth to half of the tokens
    # would be padding.
    backbone=dict(
        _delete_=True, type='hrnet_plugin.HRFormer', arch='tiny', window=(8, 6), init_cfg=None
    ),
    head=dict(in_channels=18),
)
train_dataloader = dict(batch_size=32)
# At a rate of 4e-3 it diverges.
optim_wrapper = dict(optimizer=dict(type='AdamW', weight_decay=0.01))

max_epochs = 5
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
warm_up, decay = _base_.param_scheduler
param_scheduler = [dict(warm_up, end=50), dict(decay, end=max_epochs)]
