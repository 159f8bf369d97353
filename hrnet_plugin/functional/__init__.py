"""Pure maths on arrays and tensors: no registry, no config, no OpenMMLab import."""

from .accuracy import heatmap_accuracy
from .coco_eval import evaluate_coco_keypoints
from .heatmap import decode_msra, encode_msra, heatmap_peaks
from .oks import COCO_SIGMAS, oks, oks_nms, soft_oks_nms
from .windows import relative_position_index, window_merge, window_partition

__all__ = [
    'COCO_SIGMAS',
    'decode_msra',
    'encode_msra',
    'evaluate_coco_keypoints',
    'heatmap_accuracy',
    'heatmap_peaks',
    'oks',
    'oks_nms',
    'relative_position_index',
    'soft_oks_nms',
    'window_merge',
    'window_partition',
]
