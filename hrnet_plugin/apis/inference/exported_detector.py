"""Exported detectors for the inferencer: the boxes of MMDetection, without it."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from ...export.metadata import DetectorMetadata
from ...utils.errors import unknown_name
from ..inputs.images import Frame
from .detector import check_cat_ids, select
from .exported import AUTO, SUFFIXES, OpenedGraph, graph_in_onnxruntime, graph_in_openvino

Opener = Callable[[str | Path, str | None, int, str], OpenedGraph]
RUNTIMES: dict[str, Opener] = {
    'onnxruntime': graph_in_onnxruntime,
    'openvino': graph_in_openvino,
}


class ExportedDetector:
    """A detector from a file that ``hrnet-plugin export --det`` has written.

    Args:
        path: The file.
        cat_ids: Indices of classes; by default the class ``person``, or the only one.
        device: See :func:`open_exported`.
        runtime: One of :data:`RUNTIMES`; by default, and for ``'auto'``, OpenVINO for ``*.xml``,
            else ONNX Runtime.

    Attributes:
        metadata: What the file says about the detector.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: The runtime is not installed.
        ValueError: The file is not a detector of this package, a class is unknown, or the runtime
            is not for the file or the device.
    """

    def __init__(
        self,
        path: str | Path,
        cat_ids: int | Sequence[int] | None = None,
        device: str | None = None,
        runtime: str | None = None,
    ) -> None:
        if runtime in (None, AUTO):
            runtime = SUFFIXES[Path(path).suffix.lower()]
        if runtime not in RUNTIMES:
            raise ValueError(unknown_name('runtime', runtime, (AUTO, *RUNTIMES)))
        graph = RUNTIMES[runtime](path, device, 0, 'detector')
        self.metadata = DetectorMetadata.of(graph.content)
        self.cat_ids = check_cat_ids(cat_ids, self.metadata.class_names)
        self.run = graph.run

    def __call__(
        self, frames: Sequence[Frame], bbox_thr: float, nms_thr: float
    ) -> Iterator[np.ndarray]:
        """Detect instances in a batch of images, as :meth:`Detector.__call__`."""
        inputs = [self.metadata.letterbox(frame.image) for frame in frames]
        for _, same_size in groupby(inputs, key=lambda item: item[0].shape):
            images, factors = zip(*same_size)
            boxes, scores, labels, image_indices = self.run(np.stack(images))
            for index, factor in enumerate(factors):
                row = image_indices == index
                in_image = boxes[row] * np.tile(1 / factor, 2).astype(np.float32)
                found = np.column_stack([in_image, scores[row]])
                yield select(found, labels[row], self.cat_ids, bbox_thr, nms_thr)
