"""ADE20K; the environment variable ADE20K_ROOT names its folder, ADEChallengeData2016."""

_base_ = 'mmseg::_base_/datasets/ade20k.py'

data_root = '{{$ADE20K_ROOT:data/ade/ADEChallengeData2016}}'
num_classes = 150

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
auto_scale_lr = dict(enable=False, base_batch_size=16)
