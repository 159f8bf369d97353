"""Pure maths on arrays and tensors: no registry, no config, no OpenMMLab import."""

from .accuracy import heatmap_accuracy
from .coco_arrays import coco_to_arrays
from .coco_eval import evaluate_coco_keypoints, evaluate_each_keypoint
from .heatmap import heatmap_peaks
from .heatmap_decode import decode_dark, decode_msra, decode_udp
from .heatmap_encode import encode_dark, encode_msra, encode_udp
from .oks import COCO_SIGMAS, estimate_sigmas, keypoint_similarity, oks
from .oks_nms import oks_nms, soft_oks_nms
from .one_euro import OneEuroFilter
from .tracking import Tracker
from .windows import relative_position_index, window_merge, window_partition

__all__ = [
    'COCO_SIGMAS',
    'OneEuroFilter',
    'Tracker',
    'coco_to_arrays',
    'decode_dark',
    'decode_msra',
    'decode_udp',
    'encode_dark',
    'encode_msra',
    'encode_udp',
    'estimate_sigmas',
    'evaluate_coco_keypoints',
    'evaluate_each_keypoint',
    'heatmap_accuracy',
    'heatmap_peaks',
    'keypoint_similarity',
    'oks',
    'oks_nms',
    'relative_position_index',
    'soft_oks_nms',
    'window_merge',
    'window_partition',
]
