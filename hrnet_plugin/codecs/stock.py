"""MMPose's own codecs, asked as ``KeypointCodec``."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from torch import Tensor

from .protocol import KeypointCodec


class StockHeatmap(KeypointCodec):
    """``MSRAHeatmap`` or ``UDPHeatmap`` of MMPose behind the protocol.

    They encode and decode instances one by one, in NumPy, so tensors on a device are copied to
    the host and back.

    Args:
        codec: The codec of MMPose.
    """

    def __init__(self, codec: MSRAHeatmap | UDPHeatmap) -> None:
        self.codec = codec
        self.input_size = tuple(codec.input_size)

    @property
    def is_udp(self) -> bool:
        return isinstance(self.codec, UDPHeatmap)

    def target_shapes(self, num_keypoints: int) -> dict[str, tuple[int, ...]]:
        width, height = self.codec.heatmap_size
        # Each keypoint as a disc and its offsets along x and y
        is_combined = getattr(self.codec, 'heatmap_type', '') == 'combined'
        return dict(heatmaps=(num_keypoints * (3 if is_combined else 1), height, width))

    def encode_batch(self, keypoints: Any, visible: Any = None) -> tuple[Any, Any]:
        def encode(keypoints: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            rows = [self.codec.encode(k[None], v[None]) for k, v in zip(keypoints, visible)]
            heatmaps = np.stack([row['heatmaps'] for row in rows])
            return heatmaps, np.concatenate([row['keypoint_weights'] for row in rows])

        if visible is None:
            visible = np.ones(keypoints.shape[:2], np.float32)
        return _on_host(encode, keypoints, visible)

    def decode_batch(self, encoded: Any) -> tuple[Any, Any]:
        def decode(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            keypoints, scores = zip(*(self.codec.decode(maps) for maps in heatmaps))
            # UDPHeatmap stretches keypoints to the whole input for MMPose's estimators.
            size = np.asarray(self.input_size, np.float32)
            stretch = (size - 1) / size if self.is_udp else np.float32(1)
            return np.concatenate(keypoints) * stretch, np.concatenate(scores)

        return _on_host(decode, encoded)


def as_keypoint_codec(codec: object) -> KeypointCodec | None:
    """Return a codec behind the protocol, or None for one of which nothing is known.

    Args:
        codec: A ``KeypointCodec``, which is returned itself, or any codec of MMPose.
    """
    if isinstance(codec, (MSRAHeatmap, UDPHeatmap)):
        return StockHeatmap(codec)
    return codec if isinstance(codec, KeypointCodec) else None


def _on_host(function: Callable[..., tuple[Any, Any]], *arrays: Any) -> tuple[Any, Any]:
    """Call a function of NumPy arrays; its results are of the kind of the first argument."""
    first, second = function(
        *(a.detach().cpu().numpy() if isinstance(a, Tensor) else a for a in arrays)
    )
    if not isinstance(arrays[0], Tensor):
        return first, second
    device = arrays[0].device
    return torch.from_numpy(first).to(device), torch.from_numpy(second).to(device)
