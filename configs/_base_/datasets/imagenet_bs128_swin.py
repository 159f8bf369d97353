"""ImageNet; the environment variable IMAGENET_ROOT names the folder of train/ and val/."""

_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py'

data_root = '{{$IMAGENET_ROOT:data/imagenet}}'
train_dataloader = dict(batch_size=128, dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
