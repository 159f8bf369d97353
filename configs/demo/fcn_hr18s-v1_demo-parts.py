"""HRNetV2-W18-Small-v1 that segments parts of people; left and right change places in flips."""

_base_ = './fcn_hr18s-v1_demo-person.py'

metainfo = dict(
    classes=(
        *('background', 'head', 'torso'),
        *('left_upper_arm', 'right_upper_arm', 'left_lower_arm', 'right_lower_arm'),
        *('left_upper_leg', 'right_upper_leg', 'left_lower_leg', 'right_lower_leg'),
    ),
    palette=[
        *([0, 0, 0], [240, 220, 60], [150, 150, 150]),
        *([20, 130, 220], [220, 90, 30], [110, 200, 255], [255, 170, 110]),
        *([20, 120, 60], [150, 30, 110], [120, 220, 120], [240, 130, 210]),
    ],
)
labels = 'segmentation/parts'
steps = dict(RandomFlip=dict(swap_seg_labels=[(3, 4), (5, 6), (7, 8), (9, 10)]))
train_pipeline = [{**step, **steps.get(step['type'], {})} for step in _base_.train_pipeline]
train_dataloader = dict(
    dataset=dict(
        metainfo=metainfo,
        data_prefix=dict(seg_map_path=f'{labels}/train2017'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(metainfo=metainfo, data_prefix=dict(seg_map_path=f'{labels}/val2017'))
)
test_dataloader = val_dataloader

model = dict(decode_head=dict(num_classes=11))
