"""Export a detector as an ONNX file that is checked against MMDetection before it is written."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..utils.atomic_files import write_atomically
from .detector_graph import DetectorGraph, Suppression, add_nms, largest_stride
from .letterbox import Letterbox
from .metadata import DetectorMetadata
from .onnx_file import BATCHES, OPSET, import_onnx, open_session_of, to_onnx
from .runtime import KEY

OUTPUTS = ('boxes', 'scores', 'labels', 'image_indices')
# Largest difference between ONNX Runtime and PyTorch: of boxes in pixels of the input, of scores
BOX_TOLERANCE = 0.05
SCORE_TOLERANCE = 1e-4
# What differs by less is told apart by rounding: the IoU of a pair and the threshold, two scores.
# MMDetection adds up to 50,000 pixels to boxes before it computes IoU, for classes to be apart.
IOU_TIE = 5e-3
SCORE_TIE = 1e-5
COMPARED = 100  # detections of a batch at least, for which the threshold of scores is lowered


@dataclass(frozen=True)
class Detections:
    """Detections of one image: boxes (D, 4) in pixels, scores (D,) in descending order, labels."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def of(self, label: int) -> 'Detections':
        """Return those of a class."""
        keep = self.labels == label
        return Detections(self.boxes[keep], self.scores[keep], self.labels[keep])


@dataclass(frozen=True)
class Comparison:
    """How far two lists of detections are from each other.

    Attributes:
        boxes: Largest difference of boxes, in pixels.
        scores: Largest difference of scores.
        count: Number of detections that were compared.
        ties: Number of detections that rounding decides.
    """

    boxes: float = 0.0
    scores: float = 0.0
    count: int = 0
    ties: int = 0

    def __add__(self, other: 'Comparison') -> 'Comparison':
        # max of Python passes over nan
        return Comparison(
            float(np.max([self.boxes, other.boxes])),
            float(np.max([self.scores, other.scores])),
            self.count + other.count,
            self.ties + other.ties,
        )


@dataclass(frozen=True)
class DetectorExport:
    """What was exported, and how far it is from MMDetection in PyTorch.

    Attributes:
        path: The file.
        metadata: What the file says about the detector.
        opset: Version of the ONNX operators.
        size: Size of the file in bytes.
        box_difference: Largest difference of boxes, in pixels of the input.
        score_difference: Largest difference of scores.
        images: Number of images that were compared.
        detections: Number of detections that were compared.
        ties: Number of detections that were not, as rounding decides whether they are some.
    """

    path: Path
    metadata: DetectorMetadata
    opset: int
    size: int
    box_difference: float
    score_difference: float
    images: int
    detections: int
    ties: int

    def __str__(self) -> str:
        ties = f', {self.ties} ties left out' if self.ties else ''
        return (
            f'{self.path}: {self.metadata.model}, {self.size / 1e6:.1f} MB, opset {self.opset}; '
            f'largest difference between ONNX Runtime and MMDetection for {self.detections} '
            f'detections in {self.images} images{ties}: of boxes {self.box_difference:.2g} px, of '
            f'scores {self.score_difference:.2g}'
        )


def export_detector_onnx(
    model: Any,
    path: str | Path,
    letterbox: Letterbox,
    *,
    class_names: Sequence[str],
    images: Sequence[np.ndarray] = (),
    overwrite: bool = False,
) -> DetectorExport:
    """Export a detector as ONNX, from resized and padded uint8 images to boxes after NMS.

    The graph takes images (N, h, w, 3) in BGR and returns the detections of all of them, image by
    image and best first: ``boxes`` (D, 4), x1, y1, x2, y2 in pixels of the input, ``scores`` (D,),
    ``labels`` (D,) and ``image_indices`` (D,). These are the boxes of MMDetection before it scales
    them to the image: thresholds and NMS are those of ``test_cfg``. The batch size is dynamic;
    height and width are, where ``letterbox`` has a ``size_divisor``.

    The file is written after ONNX Runtime has detected the same as ``model.predict``, in random
    images and in those given. Detections that rounding decides are not compared: for example those
    whose IoU with a better one is the threshold.

    Args:
        model: A single-stage detector of MMDetection with RTMDetHead or RTMDetSepBNHead.
        path: The file to write, ``*.onnx``.
        letterbox: How images become inputs, in the test pipeline.
        class_names: Names of the classes.
        images: Images (H, W, 3) in BGR of any size to compare on, beside random ones.
        overwrite: Replaces an existing file.

    Returns:
        What was exported, with the largest differences.

    Raises:
        FileExistsError: ``path`` exists, and ``overwrite`` is False.
        ImportError: onnx, onnxscript, onnxruntime or mmdet is not installed.
        RuntimeError: The exported graph detects something else than MMDetection.
        ValueError: The detector or an argument is none of the above.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f'{path} exists already: give another name, or overwrite=True')
    onnx = import_onnx()
    graph = DetectorGraph(model, letterbox).eval()
    count = model.bbox_head.num_classes
    if len(class_names) != count:
        raise ValueError(
            f'class_names are {len(class_names)}, but the head has {count} classes; expected a '
            'name of each'
        )
    network = trace_detector(graph, letterbox)
    samples = [*random_images(graph, letterbox), *inputs_of(images, letterbox)]
    difference = compare(model, graph, network, samples)

    names = [type(part).__name__ for part in (model, model.backbone, model.bbox_head)]
    metadata = DetectorMetadata(
        input_size=letterbox.input_size,
        letterbox=letterbox,
        color_order=graph.color_order,
        mean=graph.mean,
        std=graph.std,
        class_names=tuple(class_names),
        score_thr=graph.suppression.score_thr,
        iou_thr=graph.suppression.iou_thr,
        max_per_image=graph.suppression.max_per_image,
        model=f'{names[0]} with {names[1]} and {names[2]}',
    )
    proto = add_nms(network, graph.suppression)
    onnx.helper.set_model_props(proto, {KEY: metadata.to_json()})
    data = proto.SerializeToString()
    write_atomically(path, data)
    return DetectorExport(
        path,
        metadata,
        OPSET,
        len(data),
        difference.boxes,
        difference.scores,
        sum(map(len, samples)),
        difference.count,
        difference.ties,
    )


def trace_detector(graph: DetectorGraph, letterbox: Letterbox) -> Any:
    """Export a detector up to NMS; return the ONNX model."""
    sides = {}
    if letterbox.pad_to is None:
        step = largest_stride(graph.model)
        sides = {
            axis: step * torch.export.Dim(name, min=1, max=4096)
            for axis, name in ((1, 'rows'), (2, 'columns'))
        }
    example = next(random_images(graph, letterbox, (2,)))
    return to_onnx(graph, example, 'images', ['all_boxes', 'all_scores'], sides)


def random_images(
    graph: DetectorGraph, letterbox: Letterbox, counts: Sequence[int] = BATCHES
) -> Iterator[Tensor]:
    """Yield random batches as the graph takes them; where sizes vary, each of another."""
    width, height = letterbox.input_size
    for number, count in enumerate(counts):
        if number and letterbox.pad_to is None:
            width = letterbox.padded((max(1, width // 2), height))[0]
        generator = torch.Generator().manual_seed(count)
        images = torch.randint(0, 256, (count, height, width, 3), generator=generator)
        yield images.to(torch.uint8)


def inputs_of(images: Sequence[np.ndarray], letterbox: Letterbox) -> Iterator[Tensor]:
    """Yield images (H, W, 3) as the graph takes them, those of one size together."""
    by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
    for image in images:
        padded, _ = letterbox(image)
        by_shape.setdefault(padded.shape, []).append(padded)
    for same_shape in by_shape.values():
        yield torch.from_numpy(np.stack(same_shape))


@torch.inference_mode()
def compare(
    model: Any, graph: DetectorGraph, network: Any, samples: Sequence[Tensor]
) -> Comparison:
    """Compare ONNX Runtime with PyTorch, candidates before NMS and detections after it.

    Candidates are compared with the module that was exported, detections with MMDetection. Where
    the threshold of scores leaves few of them, it is lowered for both.

    Args:
        model: The detector.
        graph: The module.
        network: The ONNX model up to NMS.
        samples: Batches of inputs.

    Raises:
        RuntimeError: They differ by more than is allowed.
    """
    dense = open_session_of(network)
    reference = deepcopy(model).cpu().float().eval()
    total = Comparison()
    for images in samples:
        boxes, scores = dense.run(None, {'images': images.numpy()})
        expected = [output.numpy() for output in graph(images)]
        total += Comparison(
            float(np.abs(boxes - expected[0]).max()), float(np.abs(scores - expected[1]).max())
        )
        lowered = lower_threshold(graph.suppression, scores)
        reference.bbox_head.test_cfg['score_thr'] = lowered.score_thr
        session = open_session_of(add_nms(network, lowered))
        found = detections_of(session.run(OUTPUTS, {'images': images.numpy()}), len(images))
        for by_mmdet, by_onnx in zip(predict(reference, images), found):
            total += compare_image(by_mmdet, by_onnx, lowered)
    check_differences(total)
    return total


def lower_threshold(suppression: Suppression, scores: np.ndarray) -> Suppression:
    """Lower the threshold of scores until a batch has some candidates (N, C, A)."""
    best = np.sort(scores, axis=None)[-COMPARED - 1 :]
    return replace(suppression, score_thr=min(suppression.score_thr, float(best[0])))


def predict(model: Any, images: Tensor) -> list[Detections]:
    """Detect with MMDetection in inputs (N, h, w, 3), without scaling boxes to an image."""
    from mmdet.structures import DetDataSample

    height, width = images.shape[1:3]
    shape = dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0))
    data = dict(
        inputs=list(images.permute(0, 3, 1, 2)),
        data_samples=[DetDataSample(metainfo=shape) for _ in images],
    )
    data = model.data_preprocessor(data, False)
    samples = model.predict(data['inputs'], data['data_samples'], rescale=False)
    found = (sample.pred_instances.numpy() for sample in samples)
    return [Detections(f.bboxes, f.scores, f.labels) for f in found]


def detections_of(outputs: Sequence[np.ndarray], count: int) -> list[Detections]:
    """Split the outputs of a graph for ``count`` images by image."""
    boxes, scores, labels, image_indices = outputs
    rows = (image_indices == index for index in range(count))
    return [Detections(boxes[row], scores[row], labels[row]) for row in rows]


def compare_image(expected: Detections, found: Detections, suppression: Suppression) -> Comparison:
    """Compare detections of an image, class by class.

    Raises:
        RuntimeError: One is missing or too many, and no tie explains it.
    """
    total = Comparison()
    for label in np.union1d(expected.labels, found.labels):
        pair = expected.of(label), found.of(label)
        boxes = np.abs(pair[0].boxes[:, None] - pair[1].boxes).max(-1, initial=0)
        scores = np.abs(pair[0].scores[:, None] - pair[1].scores)
        matches = match(boxes, scores)
        for i, j in matches:
            total += Comparison(float(boxes[i, j]), float(scores[i, j]), 1)
        alone = []
        for side, others in enumerate((found, expected)):
            missing = np.setdiff1d(range(len(pair[side])), [m[side] for m in matches]).astype(int)
            alone += [(pair[side].scores[i], pair[side].boxes[i], others) for i in missing]
        alone.sort(key=lambda item: -item[0])
        for number, (score, box, others) in enumerate(alone):
            # The best one is a tie; then others are, which NMS drops for those that it kept.
            if not is_tie(score, box, label, others, suppression, follows=number > 0):
                who = 'MMDetection' if others is found else 'ONNX Runtime'
                raise RuntimeError(
                    f'the exported graph differs from MMDetection: {len(alone)} of '
                    f'{sum(map(len, pair))} detections of class {label} have no counterpart, the '
                    f'best one of {who} with a score of {score:.4g}; no file was written'
                )
        total += Comparison(ties=len(alone))
    return total


def match(boxes: np.ndarray, scores: np.ndarray) -> list[tuple[int, int]]:
    """Match each detection with the nearest one that is near enough and free.

    Args:
        boxes: Differences of boxes (D, E).
        scores: Differences of scores (D, E).

    Returns:
        Pairs of their numbers.
    """
    costs = np.where((boxes <= BOX_TOLERANCE) & (scores <= SCORE_TOLERANCE), boxes, np.inf)
    matches = []
    for i, row in enumerate(costs):
        if len(row) and np.isfinite(row.min()):
            matches.append((i, int(row.argmin())))
            costs[:, matches[-1][1]] = np.inf
    return matches


def is_tie(
    score: float,
    box: np.ndarray,
    label: int,
    others: Detections,
    suppression: Suppression,
    follows: bool,
) -> bool:
    """Whether rounding decides that a detection is not among others.

    Args:
        score: Score of the detection.
        box: Its box (4,).
        label: Its class.
        others: Detections of the other side, of all classes.
        suppression: Thresholds.
        follows: Whether a better one is a tie, so that the other side may have kept what
            suppresses this one.
    """
    from mmdet.structures.bbox import bbox_overlaps

    if score <= suppression.score_thr + SCORE_TIE:
        return True
    is_full = len(others) >= suppression.max_per_image
    if is_full and score <= others.scores.min() + SCORE_TIE:
        return True
    same = others.of(label)
    iou = bbox_overlaps(torch.from_numpy(box)[None], torch.from_numpy(same.boxes))[0].numpy()
    suppresses = iou >= suppression.iou_thr - IOU_TIE
    is_close = iou <= suppression.iou_thr + IOU_TIE
    is_close |= np.abs(same.scores - score) <= SCORE_TIE
    return bool((suppresses & (is_close | follows)).any())


def check_differences(difference: Comparison) -> None:
    """Raise a RuntimeError if the exported graph computes something else than PyTorch."""
    problems = []
    if not difference.boxes <= BOX_TOLERANCE:  # nan is a difference, too
        problems.append(f'boxes by {difference.boxes:.2g} px ({BOX_TOLERANCE:g})')
    if not difference.scores <= SCORE_TOLERANCE:
        problems.append(f'scores by {difference.scores:.2g} ({SCORE_TOLERANCE:g})')
    if problems:
        raise RuntimeError(
            'the exported graph differs from PyTorch by more than is allowed (in brackets): '
            f'{", ".join(problems)}; no file was written'
        )
