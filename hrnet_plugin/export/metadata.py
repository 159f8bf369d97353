"""What an exported file says about its model, so that a runtime needs no config."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..version import __version__
from .letterbox import Letterbox

COLOR = (51, 153, 255)  # RGB, of keypoints without a colour
BOX_PADDING = 1.25  # of GetBBoxCenterScale, unless a pipeline says otherwise


@dataclass(frozen=True)
class PoseMetadata:
    """Description of an exported pose model.

    Attributes:
        input_size: (w, h) of crops, in pixels.
        color_order: Order of channels that the network was trained on, ``'rgb'`` or ``'bgr'``;
            crops are BGR where the graph normalizes.
        mean: Mean of each channel, in ``color_order``.
        std: Standard deviation of each channel, in ``color_order``.
        keypoint_names: Names of the K keypoints.
        keypoint_colors: Colours to draw keypoints in, RGB.
        skeleton: Pairs of keypoint numbers to draw lines between.
        skeleton_colors: Colours to draw these lines in, RGB.
        sigmas: Constants of OKS, one for each keypoint.
        flip_pairs: Pairs of keypoint numbers that swap in a mirrored image.
        codec: Variant of the codec that decodes: ``'msra'``, ``'dark'`` or ``'udp'``; empty if
            the graph returns heatmaps.
        is_udp: Whether crops are cut and keypoints measured between centres of pixels.
        box_padding: Factor by which boxes are enlarged before they are cut out.
        outputs: ``'keypoints'``, with scores, or ``'heatmaps'``.
        normalizes: Whether the graph takes uint8 crops (N, h, w, 3) in BGR, or normalized images
            (N, 3, h, w).
        flip_test: Whether the graph averages with the mirrored image.
        precision: ``'float32'``, ``'float16'`` or ``'int8'``.
        dynamic_size: Whether images may have another size than ``input_size``.
        model: Backbone and head, in words.
        version: Version of the package that wrote the file.
    """

    input_size: tuple[int, int]
    color_order: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    keypoint_names: tuple[str, ...]
    keypoint_colors: tuple[tuple[int, int, int], ...]
    skeleton: tuple[tuple[int, int], ...]
    skeleton_colors: tuple[tuple[int, int, int], ...]
    sigmas: tuple[float, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    codec: str
    is_udp: bool
    box_padding: float
    outputs: str
    normalizes: bool
    flip_test: bool
    precision: str = 'float32'
    dynamic_size: bool = False
    model: str = ''
    version: str = __version__

    def to_json(self) -> str:
        """Write as JSON, without characters beyond ASCII."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class DetectorMetadata:
    """Description of an exported detector.

    Attributes:
        input_size: (w, h) of inputs, in pixels; where their size varies, of the largest one.
        letterbox: How images become inputs.
        color_order: Order of channels that the network was trained on, ``'rgb'`` or ``'bgr'``;
            inputs are BGR.
        mean: Mean of each channel, in ``color_order``.
        std: Standard deviation of each channel, in ``color_order``.
        class_names: Names of the classes.
        score_thr: Score up to which the graph drops detections.
        iou_thr: IoU with a better detection of its class above which the graph drops a detection.
        max_per_image: Number of detections of an image that the graph returns at most.
        model: Detector, backbone and head, in words.
        kind: ``'detector'``.
        version: Version of the package that wrote the file.
    """

    input_size: tuple[int, int]
    letterbox: Letterbox
    color_order: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    score_thr: float
    iou_thr: float
    max_per_image: int
    model: str = ''
    kind: str = 'detector'
    version: str = __version__

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> 'DetectorMetadata':
        """Take the description from what was read from a file."""
        return cls(**{**content, 'letterbox': Letterbox(**content['letterbox'])})

    def to_json(self) -> str:
        """Write as JSON, without characters beyond ASCII."""
        return json.dumps(asdict(self))


def describe_keypoints(meta: Mapping[str, Any] | None, count: int) -> dict[str, Any]:
    """Take names, skeleton, sigmas and flip pairs from a dataset's metainfo.

    Args:
        meta: Metainfo as MMPose parses it, or None for keypoints of which nothing is known.
        count: Number of keypoints K of the model.

    Raises:
        ValueError: The metainfo is of another number of keypoints.
    """
    if meta is None:
        names = tuple(f'keypoint_{i}' for i in range(count))
        return dict(
            keypoint_names=names,
            keypoint_colors=(COLOR,) * count,
            skeleton=(),
            skeleton_colors=(),
            sigmas=(),
            flip_pairs=(),
        )
    if meta['num_keypoints'] != count:
        raise ValueError(
            f'the metainfo has {meta["num_keypoints"]} keypoints, the model {count}: give the '
            'metainfo of the dataset that the model was trained on'
        )
    flip = [int(i) for i in meta.get('flip_indices', ())]
    links = tuple((int(a), int(b)) for a, b in meta.get('skeleton_links', ()))
    return dict(
        keypoint_names=tuple(str(meta['keypoint_id2name'][i]) for i in range(count)),
        keypoint_colors=_colors(meta.get('keypoint_colors'), count),
        skeleton=links,
        skeleton_colors=_colors(meta.get('skeleton_link_colors'), len(links)),
        sigmas=tuple(np.asarray(meta.get('sigmas', ()), float).tolist()),
        flip_pairs=tuple((i, j) for i, j in enumerate(flip) if i < j),
    )


def _colors(colors: Any, count: int) -> tuple[tuple[int, ...], ...]:
    if colors is None or len(colors) != count:
        return (COLOR,) * count
    return tuple(tuple(int(c) for c in color) for color in colors)
