_base_ = ['./ocrnet_hrformer.py', '../backbones/hrformer_small.py']

model = dict(
    backbone=_base_.hrformer,
    decode_head=[dict(head, in_channels=_base_.channels) for head in _base_.model.decode_head],
)
