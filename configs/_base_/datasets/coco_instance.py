"""COCO boxes and masks."""

_base_ = ['mmdet::_base_/datasets/coco_instance.py', './coco_root.py']

train_dataloader = _base_.coco_loader
val_dataloader = _base_.coco_loader
test_dataloader = _base_.coco_loader
val_evaluator = _base_.coco_evaluator
test_evaluator = _base_.coco_evaluator
