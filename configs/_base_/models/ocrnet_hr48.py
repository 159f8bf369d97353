_base_ = ['./ocrnet_hrnet.py', '../backbones/hrnet_w48.py']

aux_head, ocr_head = _base_.model.decode_head
model = dict(
    backbone=_base_.hrnet,
    decode_head=[
        dict(aux_head, in_channels=_base_.channels, channels=sum(_base_.channels)),
        dict(ocr_head, in_channels=_base_.channels),
    ],
)
