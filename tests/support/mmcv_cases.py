"""Inputs on which ``mmcv.ops`` is compared with compiled mmcv, and what it makes of them.

Each case calls the public functions of ``mmcv.ops``, forward and backward, so that it runs with
any ``mmcv._ext``. ``make_mmcv_goldens.py`` keeps what compiled mmcv returns. Inputs are on torch's
default device.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from mmcv import ops
from torch import Tensor

Arrays = dict[str, np.ndarray]


def host(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()


def random_boxes(seed: int, count: int, whole: bool = False) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) that overlap a lot, and distinct scores (N,)."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(5, 50, (count, 2))), axis=1)
    scores = rng.permutation(count) / count + 0.01
    if whole:
        boxes = boxes.round()
    return torch.tensor(boxes, dtype=torch.float32), torch.tensor(scores, dtype=torch.float32)


def suppress(function: str, seed: int, **options: object) -> Arrays:
    boxes, scores = random_boxes(seed, 80)
    dets, kept = getattr(ops, function)(boxes, scores, **options)
    return dict(dets=host(dets), kept=host(kept))


def suppress_by_class(seed: int, class_agnostic: bool) -> Arrays:
    boxes, scores = random_boxes(seed, 80)
    labels = torch.tensor(np.random.default_rng(seed).integers(0, 3, 80))
    options = dict(type='nms', iou_threshold=0.5)
    dets, kept = ops.batched_nms(boxes, scores, labels, options, class_agnostic)
    return dict(dets=host(dets), kept=host(kept))


def match(seed: int) -> Arrays:
    boxes, scores = random_boxes(seed, 40)
    groups = ops.nms_match(torch.cat((boxes, scores[:, None]), dim=1), 0.4)
    owner = np.empty(40, dtype=np.int64)
    for group in groups:
        owner[np.asarray(group)] = int(group[0])
    return dict(kept=np.array([int(g[0]) for g in groups]), owner=owner)


def overlap(seed: int, mode: str, aligned: bool, offset: int) -> Arrays:
    first, _ = random_boxes(seed, 12)
    second, _ = random_boxes(seed + 1, 12 if aligned else 7)
    result = ops.bbox_overlaps(first, second, mode=mode, aligned=aligned, offset=offset)
    return dict(ious=host(result))


def differentiate(function: Callable[..., Tensor], *inputs: Tensor, names: str) -> Arrays:
    """Output of a function, and gradients of its inputs for fixed weights of the output."""
    inputs = tuple(tensor.requires_grad_() for tensor in inputs)
    output = function(*inputs)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    gradients = torch.autograd.grad(output, inputs, weights)
    arrays = dict(output=output.detach())
    arrays.update((f'grad_{name}', g) for name, g in zip(names.split(), gradients))
    return {name: host(array) for name, array in arrays.items()}


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    return torch.tensor(rng.standard_normal(shape) * scale, dtype=torch.float32)


def align(seed: int, size: tuple[int, int], ratio: int, aligned: bool) -> Arrays:
    rng = np.random.default_rng(seed)
    boxes, _ = random_boxes(seed, 6)
    rois = torch.cat((torch.tensor([[0.0], [1], [0], [1], [1], [0]]), boxes), dim=1)
    pool = partial(ops.roi_align, rois=rois, output_size=size, spatial_scale=0.25)
    return differentiate(
        lambda x: pool(x, sampling_ratio=ratio, pool_mode='avg', aligned=aligned),
        normal(rng, 2, 3, 16, 20),
        names='input',
    )


def deform(seed: int, stride: int, padding: int, dilation: int, groups: int) -> Arrays:
    rng = np.random.default_rng(seed)
    x, weight = normal(rng, 2, 4, 9, 8), normal(rng, 6, 4 // groups, 3, 3, scale=0.3)
    side = [(s + 2 * padding - 2 * dilation - 1) // stride + 1 for s in (9, 8)]
    offset = normal(rng, 2, 2 * groups * 9, *side)
    options = (stride, padding, dilation, groups, groups)
    return differentiate(
        lambda *tensors: ops.deform_conv2d(*tensors, *options),
        *(x, offset, weight),
        names='input offset weight',
    )


def deform_modulated(seed: int, stride: int, groups: int, with_bias: bool) -> Arrays:
    rng = np.random.default_rng(seed)
    x, weight = normal(rng, 2, 4, 9, 8), normal(rng, 6, 4 // groups, 3, 3, scale=0.3)
    side = [(s - 1) // stride + 1 for s in (9, 8)]
    offset = normal(rng, 2, 2 * groups * 9, *side)
    mask = normal(rng, 2, groups * 9, *side).sigmoid()
    inputs = [x, offset, mask, weight] + ([normal(rng, 6)] if with_bias else [])
    options = (stride, 1, 1, groups, groups)
    bias = [] if with_bias else [None]
    return differentiate(
        lambda *tensors: ops.modulated_deform_conv2d(*tensors, *bias, *options),
        *inputs,
        names='input offset mask weight bias',
    )


CASES: dict[str, Callable[[], Arrays]] = {
    'nms': partial(suppress, 'nms', 1, iou_threshold=0.5),
    'nms, offset': partial(suppress, 'nms', 2, iou_threshold=0.3, offset=1),
    'nms, best scores': partial(
        suppress, 'nms', 3, iou_threshold=0.7, score_threshold=0.4, max_num=9
    ),
    'batched_nms': partial(suppress_by_class, 4, False),
    'batched_nms, class-agnostic': partial(suppress_by_class, 4, True),
    'soft_nms, naive': partial(suppress, 'soft_nms', 5, method='naive', iou_threshold=0.4),
    'soft_nms, linear': partial(suppress, 'soft_nms', 6, min_score=0.3),
    'soft_nms, gaussian': partial(suppress, 'soft_nms', 7, method='gaussian', min_score=0.05),
    'soft_nms, offset': partial(suppress, 'soft_nms', 8, offset=1),
    'nms_match': partial(match, 9),
    **{
        f'bbox_overlaps, {mode}, aligned {aligned}, offset {offset}': partial(
            overlap, 10, mode, aligned, offset
        )
        for mode in ('iou', 'iof')
        for aligned in (False, True)
        for offset in (0, 1)
    },
    'roi_align': partial(align, 12, (7, 7), 0, True),
    'roi_align, sampled': partial(align, 13, (3, 5), 2, True),
    'roi_align, not aligned': partial(align, 14, (4, 2), 2, False),
    'deform_conv2d': partial(deform, 15, 1, 1, 1, 1),
    'deform_conv2d, groups': partial(deform, 16, 2, 2, 2, 2),
    'modulated_deform_conv2d': partial(deform_modulated, 17, 1, 1, True),
    'modulated_deform_conv2d, groups': partial(deform_modulated, 18, 2, 2, False),
}
