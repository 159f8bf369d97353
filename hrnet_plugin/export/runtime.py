"""Run an exported pose model: one file, with NumPy, OpenCV and ONNX Runtime only.

This module imports nothing of the package, so that it can be copied to a small device:

>>> pose = OnnxPose('model.onnx')  # doctest: +SKIP
>>> keypoints, scores = pose(cv2.imread('image.jpg'), boxes=[[10, 20, 110, 320]])  # doctest: +SKIP
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

KEY = 'hrnet_plugin'  # of the metadata in an ONNX file
INSTALL = 'pip install onnxruntime'
TENSORRT = 'TensorrtExecutionProvider'


class OnnxPose:
    """A pose model from a file that ``hrnet-plugin export`` has written.

    Args:
        path: The ONNX file.
        threads: Number of threads of a forward pass; 0 leaves it to ONNX Runtime.
        providers: Execution providers of ONNX Runtime, such as ``['CUDAExecutionProvider']``; all
            that are available but TensorRT unless given.
        batch_size: Largest number of instances in a forward pass.

    Attributes:
        metadata: What the file says about the model: ``keypoint_names``, ``skeleton``, ``sigmas``,
            ``flip_pairs``, ``input_size`` (w, h) and so on.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: ONNX Runtime is not installed.
        ValueError: The file is not a pose model of this package, or returns heatmaps.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int = 0,
        providers: Sequence[Any] | None = None,
        batch_size: int = 16,
    ) -> None:
        self.session = open_session(path, threads, providers)
        self.metadata = read_metadata(path, self.session)
        if self.metadata['outputs'] != 'keypoints':
            raise ValueError(
                f'{path} returns {self.metadata["outputs"]}; expected keypoints: export it '
                'without --outputs heatmaps'
            )
        if batch_size < 1:
            raise ValueError(f'batch_size is {batch_size}; expected 1 or more')
        self.batch_size = batch_size
        self.input_size: tuple[int, int] = tuple(self.metadata['input_size'])

    def __call__(
        self, image: np.ndarray, boxes: Any = None, batch_size: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Estimate the keypoints of each box.

        Args:
            image: (H, W, 3), uint8, BGR, as ``cv2.imread`` returns it.
            boxes: (N, 4), x1, y1, x2, y2 in pixels of the image; the whole image unless given.
            batch_size: Replaces that of the model.

        Returns:
            Keypoints (N, K, 2) in pixels of the image, and scores (N, K).

        Raises:
            ValueError: The image or the boxes have another shape or type.
        """
        check_image(image)
        if boxes is None:
            boxes = [[0, 0, image.shape[1], image.shape[0]]]
        centers, scales = self.frame_boxes(check_boxes(boxes))
        crops = [self.crop(image, c, s) for c, s in zip(centers, scales)]
        keypoints, scores = self.run(crops, batch_size)
        return self.to_image(keypoints, centers, scales), scores

    def frame_boxes(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Enlarge boxes to the part of the image that the network sees.

        Args:
            boxes: (N, 4), x1, y1, x2, y2.

        Returns:
            Centers (N, 2) and sizes (N, 2), padded and of the input's aspect ratio.
        """
        low, high = boxes[:, :2], boxes[:, 2:]
        width, height = ((high - low) * self.metadata['box_padding']).T
        aspect_ratio = self.input_size[0] / self.input_size[1]
        is_wide = width > height * aspect_ratio
        size = np.where(is_wide, [width, width / aspect_ratio], [height * aspect_ratio, height]).T
        return (low + high) / 2, size.astype(np.float32)

    def crop(self, image: np.ndarray, center: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Cut a part out of an image and resize it to the network's input.

        Returns:
            (h, w, 3), uint8, BGR.
        """
        scale = self._input_length() / size
        matrix = np.array(
            [
                [scale[0], 0, (size[0] / 2 - center[0]) * scale[0]],
                [0, scale[1], (size[1] / 2 - center[1]) * scale[1]],
            ]
        )
        return cv2.warpAffine(image, matrix, self.input_size, flags=cv2.INTER_LINEAR)

    def run(
        self, crops: Sequence[np.ndarray], batch_size: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Estimate the keypoints of crops, in batches.

        Args:
            crops: N images, each (h, w, 3), uint8, BGR.
            batch_size: Replaces that of the model.

        Returns:
            Keypoints (N, K, 2) in pixels of the crop, and scores (N, K).
        """
        step = batch_size or self.batch_size
        count = len(self.metadata['keypoint_names'])
        found = [(np.zeros((0, count, 2), np.float32), np.zeros((0, count), np.float32))]
        for start in range(0, len(crops), step):
            batch = np.stack(crops[start : start + step])
            found.append(self.session.run(['keypoints', 'scores'], {'crops': self.prepare(batch)}))
        keypoints, scores = (np.concatenate(parts) for parts in zip(*found))
        return keypoints, scores

    def prepare(self, crops: np.ndarray) -> np.ndarray:
        """Normalize crops (N, h, w, 3), unless the graph of the file does so itself."""
        return as_input(crops, self.metadata)

    def to_image(
        self, keypoints: np.ndarray, centers: np.ndarray, sizes: np.ndarray
    ) -> np.ndarray:
        """Map keypoints (N, K, 2) from pixels of crops to pixels of the image."""
        scales = sizes / self._input_length()
        return keypoints * scales[:, None] + (centers - sizes / 2)[:, None]

    def _input_length(self) -> np.ndarray:
        """Length of the input's sides (2,): UDP measures between centres of pixels."""
        return np.asarray(self.input_size, np.float32) - (1 if self.metadata['is_udp'] else 0)


def open_session(
    path: str | Path, threads: int = 0, providers: Sequence[Any] | None = None
) -> Any:
    """Open an ONNX file with ONNX Runtime.

    Args:
        path: The file.
        threads: Number of threads of a forward pass; 0 leaves it to ONNX Runtime.
        providers: Execution providers, or pairs of one and its options; all that are available
            but TensorRT, which compiles for minutes, unless given.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: ONNX Runtime is not installed.
        ValueError: The file is not an ONNX model, or a provider does not work here.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(f'{path} needs ONNX Runtime: {INSTALL}') from error
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: there is no such file; expected an exported model')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    available = [p for p in onnxruntime.get_available_providers() if p != TENSORRT]
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=providers or available
        )
    except Exception as error:  # those of ONNX Runtime have no common class
        raise ValueError(f'{path} is not an ONNX model that can be opened: {error}') from error
    # ONNX Runtime goes on without a provider that it lacks, or whose libraries it cannot load.
    for provider in providers or ():
        name = provider if isinstance(provider, str) else provider[0]
        if name not in session.get_providers():
            raise ValueError(
                f'ONNX Runtime cannot use {name} here, only {", ".join(session.get_providers())}; '
                'a GPU needs `pip install onnxruntime-gpu` in place of onnxruntime, and its CUDA'
            )
    return session


def read_metadata(path: str | Path, session: Any) -> dict[str, Any]:
    """Read what the exporter has written about a model; raise a ValueError if there is nothing."""
    return parse_metadata(path, session.get_modelmeta().custom_metadata_map.get(KEY))


def parse_metadata(path: str | Path, text: str | None) -> dict[str, Any]:
    """Parse what the exporter has written about a model.

    Raises:
        ValueError: There is nothing.
    """
    if text is None:
        raise ValueError(
            f'{path} is not a pose model of hrnet_plugin: it has no metadata {KEY!r}; write one '
            'with `hrnet-plugin export`'
        )
    return json.loads(text)


def as_input(crops: np.ndarray, metadata: Mapping[str, Any]) -> np.ndarray:
    """Convert crops (N, h, w, 3), uint8, BGR, to what the graph of a file takes."""
    if metadata['normalizes']:
        return crops
    if metadata['color_order'] == 'rgb':
        crops = crops[..., ::-1]
    mean, std = (np.asarray(metadata[key], np.float32) for key in ('mean', 'std'))
    return np.ascontiguousarray(((crops - mean) / std).transpose(0, 3, 1, 2))


def check_image(image: Any) -> None:
    """Raise a ValueError unless this is a BGR image."""
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
        shape = image.shape if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f'the image is {shape}; expected an array (H, W, 3) in BGR')
    if image.dtype != np.uint8:
        raise ValueError(f'the image is of {image.dtype}; expected uint8, 0 to 255')


def check_boxes(boxes: Any) -> np.ndarray:
    """Convert boxes to an array (N, 4).

    Raises:
        ValueError: They have another shape, are not finite or are empty.
    """
    array = np.asarray(boxes, np.float32)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f'boxes have shape {array.shape}; expected (N, 4): x1, y1, x2, y2')
    wrong = ~(np.isfinite(array).all(axis=1) & (array[:, 2:] > array[:, :2]).all(axis=1))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f'box {first} is {array[first].tolist()}; expected x1 < x2 and y1 < y2, in pixels'
        )
    return array
