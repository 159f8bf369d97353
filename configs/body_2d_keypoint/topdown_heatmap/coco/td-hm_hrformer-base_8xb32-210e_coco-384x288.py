_base_ = [
    '../../../_base_/schedules/hrformer_210e.py',
    '../../../_base_/datasets/coco_384x288.py',
    '../../../_base_/models/hrformer_base.py',
]

# The published config drops more paths at this size; MMPose does not.
model = dict(backbone=dict(drop_path_rate=0.3), head=dict(decoder=_base_.codec))
train_dataloader = dict(batch_size=32)
