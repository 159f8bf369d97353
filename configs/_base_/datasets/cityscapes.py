"""Cityscapes; the environment variable CITYSCAPES_ROOT names its folder."""

_base_ = 'mmseg::_base_/datasets/cityscapes.py'

data_root = '{{$CITYSCAPES_ROOT:data/cityscapes}}'
num_classes = 19

# For the loss, as in the official code; MMSegmentation's recipes have no weights. Its own mean of
# weighted losses fails on pixels that are ignored: MMEngine takes it.
class_weights = dict(
    class_weight=[
        *(0.8373, 0.9180, 0.8660, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023),
        *(0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507),
    ],
    reduction='none',
)

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
auto_scale_lr = dict(enable=False, base_batch_size=8)
