"""COCO; the environment variable COCO_ROOT names its folder, which holds annotations/."""

coco_root = '{{$COCO_ROOT:data/coco}}/'
coco_loader = dict(dataset=dict(data_root=coco_root))
coco_evaluator = dict(ann_file=f'{coco_root}annotations/instances_val2017.json')
