"""Detection as one graph, from images to boxes: a traced network, then NMS in ONNX operators."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..models.fuse import fuse_norms
from .graph import NormalizingGraph
from .letterbox import Letterbox

# NonMaxSuppression keeps (image, class, box) in any order. A row of scores for each image, with
# zeros for what is another image's, and zeros at the end so that there are enough to choose from,
# gives each image its best ones, in their order.
NMS = """
nms (float[images, candidates, 4] all_boxes, float[images, classes, candidates] all_scores)
    => (float[detections, 4] boxes, float[detections] scores,
        int64[detections] labels, int64[detections] image_indices)
<
    int64[1] max_per_image = {{{max_per_image}}},
    float[1] iou_thr = {{{iou_thr!r}}},
    float[1] score_thr = {{{score_thr!r}}},
    float zero = {{0.0}},
    int64 first = {{0}},
    int64 second = {{1}},
    int64[2] first_and_third = {{0, 2}},
    int64[1] last = {{-1}}
>
{{
    kept = NonMaxSuppression (all_boxes, all_scores, max_per_image, iou_thr, score_thr)
    kept_scores = GatherND (all_scores, kept)
    image_of_kept = Gather <axis = 1> (kept, first)
    shape_of_scores = Shape (all_scores)
    num_images = Gather (shape_of_scores, first)
    image_numbers = Range (first, num_images, second)
    image_of_row = Unsqueeze (image_numbers, last)
    is_of_row = Equal (image_of_row, image_of_kept)
    scores_of_row = Where (is_of_row, kept_scores, zero)
    num_rows = Shape <start = 0, end = 1> (all_scores)
    shape_of_zeros = Concat <axis = 0> (num_rows, max_per_image)
    zeros = Expand (zero, shape_of_zeros)
    enough_scores = Concat <axis = 1> (scores_of_row, zeros)
    best_scores, best = TopK <axis = 1, largest = 1, sorted = 1> (enough_scores, max_per_image)
    is_detection = Greater (best_scores, zero)
    detections_by_axis = NonZero (is_detection)
    detections = Transpose (detections_by_axis)
    scores = GatherND (best_scores, detections)
    place_in_kept = GatherND (best, detections)
    chosen = Gather <axis = 0> (kept, place_in_kept)
    image_indices = Gather <axis = 1> (chosen, first)
    labels = Gather <axis = 1> (chosen, second)
    image_and_box = Gather <axis = 1> (chosen, first_and_third)
    boxes = GatherND (all_boxes, image_and_box)
}}
"""


@dataclass(frozen=True)
class Suppression:
    """Which candidates of an image are detections; see ``test_cfg`` of MMDetection.

    Attributes:
        score_thr: Score up to which candidates are dropped.
        iou_thr: IoU with a better detection of its class above which a candidate is dropped.
        max_per_image: Number of detections at most.
        candidates_per_level: Number of boxes of classes that a level of the feature pyramid
            contributes at most, ``nms_pre``.
        needs_area: Whether boxes without an area are dropped.
    """

    score_thr: float
    iou_thr: float
    max_per_image: int
    candidates_per_level: int
    needs_area: bool


class DetectorGraph(NormalizingGraph):
    """A detector whose forward pass takes uint8 images and decodes, up to NMS.

    Args:
        model: A single-stage detector of MMDetection with an RTMDet head, in evaluation mode.
        letterbox: How images become inputs.

    Attributes:
        suppression: Which candidates are detections.

    Raises:
        ValueError: The model, its ``test_cfg`` or the size of inputs cannot be exported.
    """

    def __init__(self, model: Any, letterbox: Letterbox) -> None:
        check_head(model)
        super().__init__(model)
        self.suppression = suppression_of(model.bbox_head.test_cfg or {})
        check_sizes(model, letterbox)
        width, height = letterbox.input_size
        image = torch.rand(1, 3, *(2 * largest_stride(model),) * 2)
        self.model = fuse_norms(deepcopy(model).cpu().float().eval(), image)
        head = self.model.bbox_head
        cells = [(width // w) * (height // h) for w, h in head.prior_generator.strides]
        most = self.suppression.candidates_per_level
        self.has_too_many = [count * head.cls_out_channels > most for count in cells]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, h, w, 3) in BGR to candidates: boxes (N, A, 4) and scores (N, C, A).

        Boxes are x1, y1, x2, y2 in pixels; scores of candidates that cannot be detections are 0.
        """
        head = self.model.bbox_head
        logits, distances = head.forward(self.model.extract_feat(self.normalized(images)))
        boxes, scores = [], []
        for level, (logit, distance) in enumerate(zip(logits, distances)):
            points = head.prior_generator.single_level_grid_priors(
                logit.shape[-2:], level, device=logit.device
            )
            sides = distance.permute(0, 2, 3, 1).flatten(1, 2)
            boxes.append(torch.cat([points - sides[..., :2], points + sides[..., 2:]], -1))
            of_level = logit.flatten(2).sigmoid()
            if self.has_too_many[level]:
                of_level = drop_worst(of_level, self.suppression.candidates_per_level)
            scores.append(of_level)
        all_boxes = torch.cat(boxes, 1)
        if head.bbox_coder.clip_border:
            height, width = images.shape[1:3]
            x1, y1, x2, y2 = all_boxes.unbind(-1)
            x1, x2 = (x.clamp(0, width) for x in (x1, x2))
            y1, y2 = (y.clamp(0, height) for y in (y1, y2))
            all_boxes = torch.stack([x1, y1, x2, y2], -1)
        all_scores = torch.cat(scores, 2)
        if self.suppression.needs_area:
            has_area = (all_boxes[..., 2:] > all_boxes[..., :2]).all(-1)
            all_scores = all_scores * has_area[:, None]
        return all_boxes, all_scores


def drop_worst(scores: Tensor, count: int) -> Tensor:
    """Set all but the ``count`` best scores of each image, of any class (N, C, A), to 0."""
    flat = scores.flatten(1)
    enough = torch.cat([flat, flat.new_zeros(1).expand(flat.shape[0], count)], 1)
    worst = enough.topk(count).values[:, -1]
    return torch.where(scores >= worst[:, None, None], scores, 0.0)


def add_nms(proto: Any, suppression: Suppression) -> Any:
    """Append NMS to an ONNX model with the outputs of :class:`DetectorGraph`.

    Returns:
        A model with the outputs boxes (D, 4), scores (D,), labels (D,) and image_indices (D,) of
        all images, by image and then by score.
    """
    import onnx

    text = NMS.format(
        max_per_image=suppression.max_per_image,
        iou_thr=suppression.iou_thr,
        score_thr=suppression.score_thr,
    )
    nms = onnx.parser.parse_graph(text)
    names = [(name, name) for name in ('all_boxes', 'all_scores')]
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    result.graph.CopyFrom(onnx.compose.merge_graphs(proto.graph, nms, names))
    return result


def check_head(model: Any) -> None:
    """Raise a ValueError unless this is a single-stage detector with an RTMDet head."""
    from mmdet.models.dense_heads import RTMDetHead

    head = next(
        (h for n in ('bbox_head', 'roi_head') if (h := getattr(model, n, None)) is not None), None
    )
    steps = ('predict', 'predict_by_feat', '_predict_by_feat_single', '_bbox_post_process')
    if not isinstance(head, RTMDetHead) or any(
        getattr(type(head), step) is not getattr(RTMDetHead, step) for step in steps
    ):
        raise ValueError(
            f'the detector is {type(model).__name__} with {type(head).__name__} as its head; '
            'expected a single-stage detector with RTMDetHead or RTMDetSepBNHead: others are not '
            'exported, and run from their config and weights'
        )
    coder, loss = type(head.bbox_coder).__name__, type(head.loss_cls).__name__
    if coder != 'DistancePointBBoxCoder' or set(head.prior_generator.num_base_priors) != {1}:
        raise ValueError(
            f'the head has {coder} and {type(head.prior_generator).__name__}; expected '
            'DistancePointBBoxCoder and MlvlPointGenerator'
        )
    if not head.use_sigmoid_cls or getattr(head.loss_cls, 'custom_cls_channels', False):
        raise ValueError(f'loss_cls is {loss} without a sigmoid; expected one with use_sigmoid')


def suppression_of(test_cfg: Mapping[str, Any]) -> Suppression:
    """Read which candidates are detections from the ``test_cfg`` of a head.

    Raises:
        ValueError: It asks for what the graph does not do.
    """
    nms = dict(test_cfg.get('nms') or {})
    iou_thr = nms.pop('iou_threshold', None)
    nms.pop('split_thr', None)  # of memory only
    if iou_thr is None or nms.pop('type', 'nms') != 'nms' or any(nms.values()):
        raise ValueError(
            f"test_cfg.nms is {test_cfg.get('nms')}; expected dict(type='nms', iou_threshold=…), "
            'class by class'
        )
    min_size = test_cfg.get('min_bbox_size', -1)
    if min_size > 0:
        raise ValueError(
            f'test_cfg.min_bbox_size is {min_size}, in pixels of images that the graph does not '
            'see; expected 0'
        )
    for name in ('nms_pre', 'max_per_img'):
        if test_cfg.get(name, -1) < 1:
            raise ValueError(f'test_cfg.{name} is {test_cfg.get(name)}; expected 1 or more')
    return Suppression(
        score_thr=max(0.0, float(test_cfg.get('score_thr', 0))),
        iou_thr=float(iou_thr),
        max_per_image=int(test_cfg['max_per_img']),
        candidates_per_level=int(test_cfg['nms_pre']),
        needs_area=min_size == 0,
    )


def check_sizes(model: Any, letterbox: Letterbox) -> None:
    """Raise a ValueError unless all inputs are of sizes that the network takes as they are."""
    stride = largest_stride(model)
    divisor = int(model.data_preprocessor.pad_size_divisor)
    lengths = [letterbox.size_divisor] if letterbox.pad_to is None else letterbox.pad_to
    for factor, what in ((stride, 'the largest stride'), (divisor, 'pad_size_divisor')):
        if any(length % factor for length in lengths):
            raise ValueError(
                f'images are padded to {" x ".join(map(str, lengths))} pixels; expected multiples '
                f'of {factor}, {what} of the detector'
            )
    if letterbox.pad_to is not None:
        check_fits(letterbox)


def check_fits(letterbox: Letterbox) -> None:
    """Raise a ValueError unless each resized image fits the size that it is padded to."""
    assert letterbox.pad_to is not None
    resized, padded = letterbox.resize_to, letterbox.pad_to
    if letterbox.keep_ratio:  # in either orientation
        resized, padded = (max(resized),) * 2, (min(padded),) * 2
    if resized[0] > padded[0] or resized[1] > padded[1]:
        raise ValueError(
            f'images are resized to {letterbox.resize_to} and padded to {letterbox.pad_to}; '
            'expected a size (w, h) to pad to that holds them in either orientation, or '
            'size_divisor'
        )


def largest_stride(model: Any) -> int:
    """Return the largest stride of a detector's feature maps, in pixels."""
    return int(max(max(stride) for stride in model.bbox_head.prior_generator.strides))
