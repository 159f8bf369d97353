"""LIP: parts of people, in images resized to 473 x 473 pixels as in the official code.

The environment variable LIP_ROOT names the folder that holds train_images/, train_segmentations/,
val_images/ and val_segmentations/.
"""

_base_ = 'mmseg::_base_/datasets/cityscapes.py'

dataset_type = 'LIPDataset'
data_root = '{{$LIP_ROOT:data/LIP}}'
num_classes = 20
crop_size = (473, 473)

# Left and right arm, leg and shoe change places.
mirror_pairs = [(14, 15), (16, 17), (18, 19)]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='RandomResize', scale=crop_size, ratio_range=(0.5, 1.6), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5, swap_seg_labels=mirror_pairs),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
tta_pipeline = None  # MMSegmentation's flips would leave left and right where they are

train_dataloader = dict(
    batch_size=10,
    num_workers=4,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='train_images', seg_map_path='train_segmentations'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='val_images', seg_map_path='val_segmentations'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
auto_scale_lr = dict(enable=False, base_batch_size=40)
