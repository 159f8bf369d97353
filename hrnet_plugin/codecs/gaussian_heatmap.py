"""Keypoints as one Gaussian heatmap each, through MMPose's codec interface."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from mmpose.codecs.base import BaseKeypointCodec
from torch import Tensor

from ..errors import unknown_name
from ..functional.heatmap import decode_msra, encode_msra
from ..registry import KEYPOINT_CODECS

Size = tuple[int, int]


class Variant(NamedTuple):
    """One convention for drawing and reading heatmaps, in heatmap pixels."""

    encode: Callable[[Any, Any, Size, float], tuple[Any, Any]]
    decode: Callable[[Any], tuple[Any, Any]]


VARIANTS = {
    'msra': Variant(encode=encode_msra, decode=decode_msra),
}


@KEYPOINT_CODECS.register_module()
class GaussianHeatmap(BaseKeypointCodec):
    """Represent each keypoint of one person by a Gaussian on a heatmap.

    Args:
        input_size: (w, h) of the network's input, in pixels.
        heatmap_size: (w, h) of a heatmap; divides ``input_size``, by the same on both axes.
        sigma: standard deviation in heatmap pixels; 2 for inputs of 192x256 (w x h) and 3 for
            288x384 in HRNet's recipes.
        variant: ``'msra'`` draws around the nearest pixel and reads a quarter pixel beside the
            highest one (Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking").

    Raises:
        ValueError: if an argument is none of the above.
    """

    # Which encoded values MMPose packs as labels of the person, and which as maps over the image.
    label_mapping_table: ClassVar = dict(keypoint_weights='keypoint_weights')
    field_mapping_table: ClassVar = dict(heatmaps='heatmaps')

    def __init__(
        self, input_size: Size, heatmap_size: Size, sigma: float, variant: str = 'msra'
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(unknown_name('variant of GaussianHeatmap', variant, VARIANTS))
        if not sigma > 0:
            raise ValueError(f'sigma is {sigma}; expected a number above 0, such as 2')
        self.input_size = _as_size('input_size', input_size)
        self.heatmap_size = _as_size('heatmap_size', heatmap_size)
        self.stride = _stride(self.input_size, self.heatmap_size)
        self.sigma = sigma
        self.variant = variant

    def encode(self, keypoints: np.ndarray, keypoints_visible: np.ndarray | None = None) -> dict:
        """Draw the heatmaps of one person.

        Args:
            keypoints: (1, K, 2), in input pixels.
            keypoints_visible: (1, K); all visible if not given.

        Returns:
            dict: ``heatmaps`` (K, H, W) and ``keypoint_weights`` (1, K), 0 for a keypoint that is
            too far outside to leave a trace.

        Raises:
            ValueError: if the shapes differ from those above.
        """
        shape = np.shape(keypoints)
        if len(shape) != 3 or shape[0] != 1 or shape[2] != 2:
            raise ValueError(
                f'keypoints have shape {shape}; expected (1, K, 2): a heatmap holds one person'
            )
        if keypoints_visible is None:
            keypoints_visible = np.ones(shape[:2], dtype=np.float32)
        if np.shape(keypoints_visible) != shape[:2]:
            raise ValueError(
                f'keypoints_visible has shape {np.shape(keypoints_visible)}; expected '
                f'{shape[:2]}, one value per keypoint'
            )
        heatmaps, weights = VARIANTS[self.variant].encode(
            keypoints / self.stride, keypoints_visible, self.heatmap_size, self.sigma
        )
        return dict(heatmaps=heatmaps[0], keypoint_weights=weights)

    def decode(self, encoded: np.ndarray | Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Read the keypoints of one person.

        Args:
            encoded: heatmaps (K, H, W).

        Returns:
            Keypoints (1, K, 2), in input pixels, and scores (1, K).
        """
        keypoints, scores = self.batch_decode(encoded[None])
        return keypoints[0], scores[0]

    def batch_decode(
        self, batch_encoded: np.ndarray | Tensor
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Read the keypoints of many people, on the device where their heatmaps are.

        Args:
            batch_encoded: heatmaps (B, K, H, W).

        Returns:
            For each person keypoints (1, K, 2), in input pixels, and scores (1, K).
        """
        if batch_encoded.shape[-2:] != self.heatmap_size[::-1] or batch_encoded.ndim != 4:
            w, h = self.heatmap_size
            raise ValueError(
                f'heatmaps have shape {tuple(batch_encoded.shape)}; expected (B, K, {h}, {w}) '
                f'for heatmap_size (w, h) = ({w}, {h})'
            )
        keypoints, scores = VARIANTS[self.variant].decode(batch_encoded)
        if isinstance(keypoints, Tensor):
            # In one piece, so that the device is waited for once.
            packed = torch.cat((keypoints, scores[..., None]), dim=-1).detach().cpu().numpy()
            keypoints, scores = packed[..., :2].astype(np.float32), packed[..., 2].copy()
        return list((keypoints * self.stride)[:, None]), list(scores[:, None])


def _as_size(name: str, size: Size) -> Size:
    values = tuple(size)
    if len(values) != 2 or any(int(v) != v or v <= 0 for v in values):
        raise ValueError(
            f'{name} is {size}; expected two whole numbers (w, h), such as (192, 256)'
        )
    return int(values[0]), int(values[1])


def _stride(input_size: Size, heatmap_size: Size) -> int:
    """Input pixels per heatmap pixel."""
    w, h = heatmap_size
    stride = max(1, round(input_size[0] / w))
    if input_size != (w * stride, h * stride):
        swapped = input_size[0] * w == input_size[1] * h
        mend = (
            'width comes first, so swap one of them'
            if swapped
            else f'with this heatmap_size, {(w * stride, h * stride)} would fit'
        )
        raise ValueError(
            f'input_size (w, h) = {input_size} is not the same whole multiple of heatmap_size '
            f'(w, h) = {heatmap_size} on both axes; {mend}'
        )
    return stride
