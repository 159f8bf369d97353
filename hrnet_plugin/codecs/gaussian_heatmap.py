"""Keypoints as one Gaussian heatmap each, through MMPose's codec interface."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from mmpose.codecs.base import BaseKeypointCodec
from torch import Tensor

from ..functional import (
    decode_dark,
    decode_msra,
    decode_udp,
    encode_dark,
    encode_msra,
    encode_udp,
)
from ..functional.heatmaps.decode import check_kernel_size
from ..functional.heatmaps.tensors import Array, constant
from ..registry import KEYPOINT_CODECS, strict_options
from ..utils.errors import unknown_name
from .deprecated import warn_of_former_name
from .protocol import KeypointCodec, Size


class Variant(NamedTuple):
    """One convention for encoding and decoding heatmaps."""

    # (keypoints, visible, heatmap_size, sigma), in heatmap pixels -> heatmaps, weights
    encode: Callable[..., tuple[Any, Any]]
    # (heatmaps, **options) -> keypoints in heatmap pixels, scores
    decode: Callable[..., tuple[Any, Any]]
    # Unit of the lengths by which coordinates of the input are scaled to the heatmap's: whole
    # pixels, or from the centre of the first pixel to that of the last (UDP, section 3.2)
    lengths: Literal['pixels', 'centres'] = 'pixels'
    # Options of ``decode`` and their defaults
    options: Mapping[str, Any] = {}


VARIANTS = {
    'msra': Variant(encode_msra, decode_msra),
    'dark': Variant(encode_dark, decode_dark, options=dict(blur_kernel_size=11)),
    'udp': Variant(encode_udp, decode_udp, 'centres', options=dict(blur_kernel_size=11)),
}


class Targets(NamedTuple):
    """Results of ``encode``, by the names under which MMPose packs them."""

    labels: dict[str, str]  # of the instance
    fields: dict[str, str]  # maps over the image


TARGETS = {
    'heatmaps': Targets(
        labels=dict(keypoint_weights='keypoint_weights'), fields=dict(heatmaps='heatmaps')
    ),
    # HeatmapHead encodes them.
    'keypoints': Targets(
        labels=dict(keypoint_labels='keypoint_labels', keypoint_weights='keypoint_weights'),
        fields={},
    ),
}


@KEYPOINT_CODECS.register_module()
@strict_options
class GaussianHeatmap(KeypointCodec, BaseKeypointCodec):
    """Represent each keypoint of an instance by a Gaussian on a heatmap.

    ``encode``, ``decode`` and ``batch_decode`` are MMPose's interface and return NumPy arrays.
    ``encode_batch`` and ``decode_batch`` take any number of instances and return arrays for
    arrays, and for tensors tensors on the same device.

    Args:
        input_size: (w, h) of the network's input, in pixels.
        heatmap_size: (w, h) of a heatmap; divides ``input_size``, by the same on both axes.
        sigma: Standard deviation in heatmap pixels; 2 for inputs of 192x256 (w x h) and 3 for
            288x384 in HRNet's recipes. Or one for each of K keypoints.
        variant: ``'msra'`` encodes around the nearest pixel and decodes to a quarter pixel beside
            the highest one (Xiao et al., "Simple Baselines for Human Pose Estimation and
            Tracking"); ``'dark'`` encodes around the keypoint itself and decodes to the maximum
            of a parabola through the blurred heatmap's logarithm
            (https://arxiv.org/abs/1910.06278); ``'udp'`` does so too, and measures lengths from
            pixel centre to pixel centre, as ``TopdownAffine(use_udp=True)`` does
            (https://arxiv.org/abs/1911.07524).
        blur_kernel_size: Odd size in heatmap pixels of the blur with which ``'dark'`` and
            ``'udp'`` decode; 11 unless given. It goes with sigma: 11 with 2, 17 with 3.
        targets: ``'heatmaps'``: ``encode`` returns heatmaps. ``'keypoints'``: it only packs
            keypoints, and ``hrnet_plugin.HeatmapHead`` encodes them on the model's device.

    Raises:
        ValueError: An argument is none of the above.

    >>> codec = GaussianHeatmap(input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
    >>> heatmaps, weights = codec.encode_batch(np.array([[[96.0, 128.0], [-99.0, 0.0]]]))
    >>> heatmaps.shape, weights.tolist()  # the second keypoint is outside
    ((1, 2, 64, 48), [[1.0, 0.0]])
    >>> codec.decode_batch(heatmaps)[0][0, 0].tolist()
    [96.0, 128.0]
    """

    def __init__(
        self,
        input_size: Size,
        heatmap_size: Size,
        sigma: float | Sequence[float],
        variant: str = 'msra',
        blur_kernel_size: int | None = None,
        targets: str = 'heatmaps',
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(unknown_name('variant of GaussianHeatmap', variant, VARIANTS))
        if targets not in TARGETS:
            raise ValueError(unknown_name('targets of GaussianHeatmap', targets, TARGETS))
        self.input_size = _as_size('input_size', input_size)
        self.heatmap_size = _as_size('heatmap_size', heatmap_size)
        _check_stride(self.input_size, self.heatmap_size)
        self.sigma = _as_sigma(sigma)
        self.variant = variant
        self.options = _options(variant, blur_kernel_size=blur_kernel_size)
        self.targets = targets
        self.label_mapping_table, self.field_mapping_table = map(dict, TARGETS[targets])

    @property
    def is_udp(self) -> bool:
        """Whether lengths are measured from pixel centre to pixel centre."""
        return VARIANTS[self.variant].lengths == 'centres'

    @property
    def num_keypoints(self) -> int | None:
        """Number of values of sigma, or None if there is one for all keypoints."""
        return len(self.sigma) if isinstance(self.sigma, tuple) else None

    def check_num_keypoints(self, num_keypoints: int) -> None:
        if self.num_keypoints not in (None, num_keypoints):
            raise ValueError(
                f'{num_keypoints} keypoints, but {self.num_keypoints} values of sigma: give one '
                'number, or one for each keypoint'
            )

    def target_shapes(self, num_keypoints: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of one instance's heatmaps, also where the head encodes them."""
        return dict(heatmaps=(num_keypoints, *self.heatmap_size[::-1]))

    def encode_batch(
        self,
        keypoints: Array,
        visible: Array | None = None,
        sigma: float | Array | None = None,
    ) -> tuple[Array, Array]:
        """Encode N instances as heatmaps.

        Args:
            keypoints: (N, K, 2), in input pixels.
            visible: (N, K); the heatmap of a keypoint below 0.5 is 0. All are visible if it is
                not given.
            sigma: Replaces the codec's: a number, or (K,), (N, 1) or (N, K), in heatmap pixels.

        Returns:
            Heatmaps (N, K, H, W), and weights (N, K): ``visible``, but 0 for a keypoint that is
            too far outside to leave a trace.

        Raises:
            ValueError: The shapes differ from those above, or K from the number of sigmas.
        """
        if keypoints.ndim != 3 or keypoints.shape[2] != 2:
            raise ValueError(f'keypoints have shape {tuple(keypoints.shape)}; expected (N, K, 2)')
        if visible is None:
            visible = _ones(keypoints)
        if sigma is None:
            self.check_num_keypoints(keypoints.shape[1])
            sigma = self._like(keypoints, self.sigma)
        return VARIANTS[self.variant].encode(
            keypoints / self._like(keypoints, self._scale()), visible, self.heatmap_size, sigma
        )

    def decode_batch(self, encoded: Array) -> tuple[Array, Array]:
        """Decode the heatmaps of N instances: the inverse of ``encode_batch``.

        Args:
            encoded: Heatmaps (N, K, H, W).

        Returns:
            Keypoints (N, K, 2), in input pixels, and scores (N, K).

        Raises:
            ValueError: The shape differs from that above.
        """
        keypoints, scores = self._decode(encoded)
        return keypoints * self._like(keypoints, self._scale()), scores

    def render(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Former name of ``encode_batch``."""
        warn_of_former_name('GaussianHeatmap.render', 'GaussianHeatmap.encode_batch')
        return self.encode_batch(*args, **kwargs)

    def locate(self, heatmaps: Array) -> tuple[Array, Array]:
        """Former name of ``decode_batch``."""
        warn_of_former_name('GaussianHeatmap.locate', 'GaussianHeatmap.decode_batch')
        return self.decode_batch(heatmaps)

    def encode(self, keypoints: Array, keypoints_visible: Array | None = None) -> dict[str, Array]:
        """Encode one instance as heatmaps, or pack the keypoints that the head encodes.

        Args:
            keypoints: (1, K, 2), in input pixels.
            keypoints_visible: (1, K); all are visible if it is not given.

        Returns:
            ``heatmaps`` (K, H, W) and ``keypoint_weights`` (1, K), 0 for a keypoint that is
            too far outside to leave a trace; with ``targets='keypoints'``, ``keypoint_labels``
            (1, K, 3), which are x, y and visibility, and ``keypoint_weights`` (1, K), which are
            the visibilities, also of keypoints outside.

        Raises:
            ValueError: The shapes differ from those above.
        """
        shape = tuple(np.shape(keypoints))
        if len(shape) != 3 or shape[0] != 1 or shape[2] != 2:
            raise ValueError(
                f'keypoints have shape {shape}; expected (1, K, 2): a heatmap holds one instance; '
                'encode_batch takes several'
            )
        visible = _ones(keypoints) if keypoints_visible is None else keypoints_visible
        if np.shape(visible) != shape[:2]:
            raise ValueError(
                f'keypoints_visible has shape {tuple(np.shape(visible))}; expected '
                f'{shape[:2]}, one value per keypoint'
            )
        if self.targets == 'keypoints':
            self.check_num_keypoints(shape[1])
            join = torch.cat if isinstance(keypoints, Tensor) else np.concatenate
            labels: Any = join((keypoints, visible[..., None]), -1)
            return dict(keypoint_labels=labels, keypoint_weights=visible)
        heatmaps, weights = self.encode_batch(keypoints, visible)
        return dict(heatmaps=heatmaps[0], keypoint_weights=weights)

    def decode(self, encoded: Array) -> tuple[np.ndarray, np.ndarray]:
        """Decode the heatmaps of one instance.

        Args:
            encoded: Heatmaps (K, H, W).

        Returns:
            Keypoints (1, K, 2) and scores (1, K), as from ``batch_decode``.
        """
        keypoints, scores = self.batch_decode(encoded[None])
        return keypoints[0], scores[0]

    def batch_decode(self, batch_encoded: Array) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Decode the heatmaps of a batch of instances, on their device.

        MMPose's estimators divide these keypoints by ``input_size`` and multiply them by the size
        of the instance's box. With the variant ``'udp'`` that box is ``input_size - 1`` long, so
        keypoints are stretched to ``input_size``, as by stock, and not quite in input pixels;
        those of ``decode_batch`` are.

        Args:
            batch_encoded: Heatmaps (B, K, H, W).

        Returns:
            For each instance keypoints (1, K, 2) and scores (1, K).
        """
        keypoints: Any
        scores: Any
        keypoints, scores = self._decode(batch_encoded)
        if isinstance(keypoints, Tensor):
            # One transfer synchronises the device once.
            packed = torch.cat((keypoints, scores[..., None]), dim=-1).cpu().numpy()
            keypoints, scores = packed[..., :2].astype(np.float32), packed[..., 2].copy()
        keypoints = keypoints * self._like(keypoints, self._scale(self.input_size))
        return list(keypoints[:, None]), list(scores[:, None])

    def _decode(self, heatmaps: Array) -> tuple[Array, Array]:
        """Keypoints in heatmap pixels (N, K, 2), and scores (N, K)."""
        if heatmaps.ndim != 4 or tuple(heatmaps.shape[-2:]) != self.heatmap_size[::-1]:
            w, h = self.heatmap_size
            raise ValueError(
                f'heatmaps have shape {tuple(heatmaps.shape)}; expected (B, K, {h}, {w}) '
                f'for heatmap_size (w, h) = ({w}, {h})'
            )
        return VARIANTS[self.variant].decode(heatmaps, **self.options)

    def _scale(self, size: Size | None = None) -> tuple[float, float]:
        """Input pixels per heatmap pixel, along x and y; or those of a box of another size."""
        shorter = 1 if self.is_udp else 0
        w, h = size or (self.input_size[0] - shorter, self.input_size[1] - shorter)
        return w / (self.heatmap_size[0] - shorter), h / (self.heatmap_size[1] - shorter)

    @staticmethod
    def _like(array: Array, values: float | tuple[float, ...]) -> Any:
        """Constants in single precision, as an array, or as a tensor on the device."""
        if not isinstance(values, tuple):
            return values
        if isinstance(array, Tensor):
            return constant(values, array.device)
        return np.array(values, dtype=np.float32)


def _ones(keypoints: Any) -> Any:
    shape = tuple(keypoints.shape[:2])
    if isinstance(keypoints, Tensor):
        return torch.ones(shape, device=keypoints.device)
    return np.ones(shape, dtype=np.float32)


def _options(variant: str, **given: Any) -> dict[str, Any]:
    """Options of a variant's ``decode``: its defaults, replaced by those that are not None."""
    options = dict(VARIANTS[variant].options)
    for name, value in given.items():
        if value is None:
            continue
        if name not in options:
            others = ' or '.join(repr(v) for v, row in VARIANTS.items() if name in row.options)
            raise ValueError(f'variant {variant!r} has no {name}: leave it out, or use {others}')
        options[name] = value
    if 'blur_kernel_size' in options:
        check_kernel_size(options['blur_kernel_size'])
    return options


def _as_sigma(sigma: float | Sequence[float]) -> float | tuple[float, ...]:
    values = np.ravel(sigma).tolist()
    if not values or not all(v > 0 for v in values) or np.ndim(sigma) > 1:
        raise ValueError(
            f'sigma is {sigma}; expected a number above 0, such as 2, or one for each keypoint'
        )
    return tuple(values) if np.ndim(sigma) else values[0]


def _as_size(name: str, size: Size) -> Size:
    values = tuple(size)
    if len(values) != 2 or any(int(v) != v or v <= 0 for v in values):
        raise ValueError(
            f'{name} is {size}; expected two whole numbers (w, h), such as (192, 256)'
        )
    return int(values[0]), int(values[1])


def _check_stride(input_size: Size, heatmap_size: Size) -> None:
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
