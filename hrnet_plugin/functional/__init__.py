"""Pure maths on arrays and tensors: no registry, no config, no OpenMMLab import."""

from .accuracy import heatmap_accuracy
from .coco_eval import evaluate_coco_keypoints
from .heatmap import decode_msra, encode_msra, heatmap_peaks
from .oks import COCO_SIGMAS, oks, oks_nms, soft_oks_nms

__all__ = [
    'COCO_SIGMAS',
    'decode_msra',
    'encode_msra',
    'evaluate_coco_keypoints',
    'heatmap_accuracy',
    'heatmap_peaks',
    'oks',
    'oks_nms',
    'soft_oks_nms',
]
