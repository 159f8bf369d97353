_base_ = [
    '../../../_base_/schedules/adam_210e.py',
    '../../../_base_/datasets/coco_256x192.py',
    '../../../_base_/models/hrnet_w32.py',
]

model = dict(head=dict(decoder=_base_.codec))
