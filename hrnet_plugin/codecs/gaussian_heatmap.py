"""Keypoints as one Gaussian heatmap each, through MMPose's codec interface."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmpose.codecs import UDPHeatmap
from mmpose.codecs.base import BaseKeypointCodec
from torch import Tensor

from ..errors import unknown_name
from ..functional import (
    decode_dark,
    decode_msra,
    decode_udp,
    encode_dark,
    encode_msra,
    encode_udp,
)
from ..functional.heatmap import Array, constant
from ..functional.heatmap_decode import check_kernel_size
from ..registry import KEYPOINT_CODECS

Size = tuple[int, int]


class Variant(NamedTuple):
    """One convention for drawing and reading heatmaps."""

    # (keypoints, visible, heatmap_size, sigma), in heatmap pixels -> heatmaps, weights
    encode: Callable[..., tuple[Any, Any]]
    # (heatmaps, **options) -> keypoints in heatmap pixels, scores
    decode: Callable[..., tuple[Any, Any]]
    # The length of a side of so many pixels. Lengths of the input's sides correspond to lengths of
    # the heatmap's, and this is how coordinates are mapped.
    length: Callable[[int], int] = lambda pixels: pixels
    # Options of ``decode`` and their defaults
    options: Mapping[str, Any] = {}


VARIANTS = {
    'msra': Variant(encode_msra, decode_msra),
    'dark': Variant(encode_dark, decode_dark, options=dict(blur_kernel_size=11)),
    'udp': Variant(
        encode_udp,
        decode_udp,
        # From the centre of the first pixel to that of the last one (UDP, section 3.2)
        length=lambda pixels: pixels - 1,
        options=dict(blur_kernel_size=11),
    ),
}


class Targets(NamedTuple):
    """What ``encode`` puts out, by the names under which MMPose packs it."""

    labels: dict[str, str]  # of the person
    fields: dict[str, str]  # maps over the picture


TARGETS = {
    'heatmaps': Targets(
        labels=dict(keypoint_weights='keypoint_weights'), fields=dict(heatmaps='heatmaps')
    ),
    # The head draws.
    'keypoints': Targets(
        labels=dict(keypoint_labels='keypoint_labels', keypoint_weights='keypoint_weights'),
        fields={},
    ),
}


@KEYPOINT_CODECS.register_module()
class GaussianHeatmap(BaseKeypointCodec):
    """Represent each keypoint of one person by a Gaussian on a heatmap.

    ``encode``, ``decode`` and ``batch_decode`` are MMPose's interface, with NumPy arrays as
    results. ``render`` and ``locate`` are for any number of people, with arrays as results where
    arrays are given, and tensors on the same device where tensors are given.

    Args:
        input_size: (w, h) of the network's input, in pixels.
        heatmap_size: (w, h) of a heatmap; divides ``input_size``, by the same on both axes.
        sigma: standard deviation in heatmap pixels; 2 for inputs of 192x256 (w x h) and 3 for
            288x384 in HRNet's recipes. Or one for each of K keypoints.
        variant: ``'msra'`` draws around the nearest pixel and reads a quarter pixel beside the
            highest one (Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking");
            ``'dark'`` draws around the keypoint itself and reads where a parabola through the
            blurred heatmap's logarithm is highest (https://arxiv.org/abs/1910.06278); ``'udp'``
            does so too, and counts lengths from pixel centre to pixel centre, as
            ``TopdownAffine(use_udp=True)`` does (https://arxiv.org/abs/1911.07524).
        blur_kernel_size: odd size in heatmap pixels of the blur before ``'dark'`` and ``'udp'``
            read; 11 unless given. It goes with sigma: 11 with 2, 17 with 3.
        targets: ``'heatmaps'``: ``encode`` draws. ``'keypoints'``: it only packs keypoints, and
            ``hrnet_plugin.HeatmapHead`` draws, on the model's device.

    Raises:
        ValueError: if an argument is none of the above.
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
    def num_keypoints(self) -> int | None:
        """K, if there is one sigma for each keypoint."""
        return len(self.sigma) if isinstance(self.sigma, tuple) else None

    def render(
        self,
        keypoints: Array,
        visible: Array | None = None,
        sigma: float | Array | None = None,
    ) -> tuple[Array, Array]:
        """Draw the heatmaps of N people.

        Args:
            keypoints: (N, K, 2), in input pixels.
            visible: (N, K); a keypoint below 0.5 is not drawn. All are visible if not given.
            sigma: instead of the codec's: a number, or (K,), (N, 1) or (N, K), in heatmap pixels.

        Returns:
            Heatmaps (N, K, H, W), and weights (N, K): ``visible``, but 0 for a keypoint that is
            too far outside to leave a trace.

        Raises:
            ValueError: the shapes differ from those above, or K from the number of sigmas.
        """
        if keypoints.ndim != 3 or keypoints.shape[2] != 2:
            raise ValueError(f'keypoints have shape {tuple(keypoints.shape)}; expected (N, K, 2)')
        if visible is None:
            visible = _ones(keypoints)
        if sigma is None:
            self._check_number(keypoints.shape[1])
            sigma = self._like(keypoints, self.sigma)
        return VARIANTS[self.variant].encode(
            keypoints / self._like(keypoints, self._scale()), visible, self.heatmap_size, sigma
        )

    def locate(self, heatmaps: Array) -> tuple[Array, Array]:
        """Read the keypoints of N people: the inverse of ``render``.

        Args:
            heatmaps: (N, K, H, W).

        Returns:
            Keypoints (N, K, 2), in input pixels, and scores (N, K).

        Raises:
            ValueError: the shape differs from that above.
        """
        keypoints, scores = self._decode(heatmaps)
        return keypoints * self._like(keypoints, self._scale()), scores

    def encode(self, keypoints: Array, keypoints_visible: Array | None = None) -> dict[str, Array]:
        """Draw the heatmaps of one person, or pack the keypoints from which the head draws them.

        Args:
            keypoints: (1, K, 2), in input pixels.
            keypoints_visible: (1, K); all visible if not given.

        Returns:
            dict: ``heatmaps`` (K, H, W) and ``keypoint_weights`` (1, K), 0 for a keypoint that is
            too far outside to leave a trace; with ``targets='keypoints'``, ``keypoint_labels``
            (1, K, 3), which are x, y and visibility, and ``keypoint_weights`` (1, K), the latter
            without regard to what is outside.

        Raises:
            ValueError: if the shapes differ from those above.
        """
        shape = tuple(np.shape(keypoints))
        if len(shape) != 3 or shape[0] != 1 or shape[2] != 2:
            raise ValueError(
                f'keypoints have shape {shape}; expected (1, K, 2): a heatmap holds one person; '
                '`render` draws those of several people'
            )
        visible = _ones(keypoints) if keypoints_visible is None else keypoints_visible
        if np.shape(visible) != shape[:2]:
            raise ValueError(
                f'keypoints_visible has shape {tuple(np.shape(visible))}; expected '
                f'{shape[:2]}, one value per keypoint'
            )
        if self.targets == 'keypoints':
            self._check_number(shape[1])
            join = torch.cat if isinstance(keypoints, Tensor) else np.concatenate
            labels: Any = join((keypoints, visible[..., None]), -1)
            return dict(keypoint_labels=labels, keypoint_weights=visible)
        heatmaps, weights = self.render(keypoints, visible)
        return dict(heatmaps=heatmaps[0], keypoint_weights=weights)

    def decode(self, encoded: Array) -> tuple[np.ndarray, np.ndarray]:
        """Read the keypoints of one person.

        Args:
            encoded: heatmaps (K, H, W).

        Returns:
            Keypoints (1, K, 2) and scores (1, K), as from ``batch_decode``.
        """
        keypoints, scores = self.batch_decode(encoded[None])
        return keypoints[0], scores[0]

    def batch_decode(self, batch_encoded: Array) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Read the keypoints of many people, on the device where their heatmaps are.

        MMPose's estimators divide these keypoints by ``input_size`` and multiply them by the size
        of the person's box. For that they are not quite in input pixels if the variant is
        ``'udp'``, where the box is as long as ``input_size - 1``: the box is stretched to
        ``input_size``, as by stock. (``locate`` gives input pixels.)

        Args:
            batch_encoded: heatmaps (B, K, H, W).

        Returns:
            For each person keypoints (1, K, 2) and scores (1, K).
        """
        keypoints: Any
        scores: Any
        keypoints, scores = self._decode(batch_encoded)
        if isinstance(keypoints, Tensor):
            # In one piece, so that the device is waited for once.
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

    def _scale(self, lengths: Size | None = None) -> tuple[float, float]:
        """Input pixels per heatmap pixel, along x and y; or other lengths per heatmap pixel."""
        length = VARIANTS[self.variant].length
        w, h = lengths or (length(self.input_size[0]), length(self.input_size[1]))
        return w / length(self.heatmap_size[0]), h / length(self.heatmap_size[1])

    def _check_number(self, k: int) -> None:
        if self.num_keypoints not in (None, k):
            raise ValueError(
                f'{k} keypoints, but {self.num_keypoints} values of sigma: give one number, or '
                'one for each keypoint'
            )

    @staticmethod
    def _like(array: Array, values: float | tuple[float, ...]) -> Any:
        """Constants as an array, or as a tensor on the device, of single precision."""
        if not isinstance(values, tuple):
            return values
        if isinstance(array, Tensor):
            return constant(values, array.device)
        return np.array(values, dtype=np.float32)


def follows_udp(codec: object) -> bool:
    """Whether a codec counts lengths from pixel centre to pixel centre, ours or stock's."""
    return getattr(codec, 'variant', None) == 'udp' or isinstance(codec, UDPHeatmap)


def shift_error(codec: object, test_cfg: Mapping[str, Any]) -> str | None:
    """What is wrong with a flip test's options for a codec, if anything.

    Mirrored heatmaps are a pixel off where lengths are whole pixels, and have to be shifted; from
    pixel centre to pixel centre, they are not.
    """
    if test_cfg.get('shift_heatmap') and follows_udp(codec):
        return (
            'test_cfg.shift_heatmap=True, but the decoder follows UDP, whose heatmaps are '
            'mirrored without a shift: set it to False'
        )
    return None


def _ones(keypoints: Any) -> Any:
    shape = tuple(keypoints.shape[:2])
    if isinstance(keypoints, Tensor):
        return torch.ones(shape, device=keypoints.device)
    return np.ones(shape, dtype=np.float32)


def _options(variant: str, **given: Any) -> dict[str, Any]:
    """Options of a variant's ``decode``, those that are not None over the defaults."""
    options = dict(VARIANTS[variant].options)
    for name, value in given.items():
        if value is None:
            continue
        if name not in options:
            having = ' or '.join(repr(v) for v, row in VARIANTS.items() if name in row.options)
            raise ValueError(f'variant {variant!r} has no {name}: leave it out, or take {having}')
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
