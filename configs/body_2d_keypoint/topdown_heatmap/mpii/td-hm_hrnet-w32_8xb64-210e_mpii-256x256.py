_base_ = [
    '../../../_base_/schedules/adam_210e.py',
    '../../../_base_/datasets/mpii_256x256.py',
    '../../../_base_/models/hrnet_w32.py',
]

model = dict(head=dict(out_channels=16, decoder=_base_.codec))
default_hooks = dict(checkpoint=dict(save_best='PCK'))
