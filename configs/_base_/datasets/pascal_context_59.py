"""PASCAL-Context; the environment variable PASCAL_CONTEXT_ROOT names its folder, VOC2010."""

_base_ = 'mmseg::_base_/datasets/pascal_context_59.py'

data_root = '{{$PASCAL_CONTEXT_ROOT:data/VOCdevkit/VOC2010}}'
num_classes = 59

inference = dict(mode='slide', crop_size=(480, 480), stride=(320, 320))

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
auto_scale_lr = dict(enable=False, base_batch_size=16)
