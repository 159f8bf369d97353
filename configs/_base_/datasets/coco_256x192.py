"""COCO keypoints; people cropped to 256 x 192 pixels (height x width).

The environment variable COCO_ROOT names the folder that holds annotations/, train2017/,
val2017/ and person_detection_results/.
"""

_base_ = './topdown_256x192.py'

dataset_type = 'CocoDataset'  # MMPoseInferencer reads this.
data_root = '{{$COCO_ROOT:data/coco}}'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
    )
)
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/person_keypoints_val2017.json',
        bbox_file=f'{data_root}/person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json',
        data_prefix=dict(img='val2017/'),
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='hrnet_plugin.OKSMetric',
    ann_file=f'{data_root}/annotations/person_keypoints_val2017.json',
)
test_evaluator = val_evaluator
