"""Interface through which the rest of the package uses a keypoint codec."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

Size = tuple[int, int]


class KeypointCodec(ABC):
    """Protocol of a codec: what heads, checks and inferencers ask, whatever its targets look like.

    Derive a new codec from this and from MMPose's ``BaseKeypointCodec``, and register it in
    ``KEYPOINT_CODECS``. Nothing outside the folder ``codecs`` names a codec's class.

    Targets are one array, or a tuple of arrays in the order of ``target_shapes``. Methods take
    NumPy arrays and return NumPy arrays, or take tensors and return tensors on the same device.

    Attributes:
        input_size: (w, h) of the network's input, in pixels.
    """

    input_size: Size

    @property
    def is_udp(self) -> bool | None:
        """Whether lengths are measured from pixel centre to pixel centre; None if either fits.

        The affine transform has to measure them alike (https://arxiv.org/abs/1911.07524).
        """
        return None

    @property
    def num_keypoints(self) -> int | None:
        """Number of keypoints K that the codec is made for, or None for any."""
        return None

    @abstractmethod
    def target_shapes(self, num_keypoints: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of one instance's targets, by the names under which MMPose packs them.

        The first dimension counts the channels of a head's output: K, or a multiple of it.
        """

    @abstractmethod
    def encode_batch(self, keypoints: Any, visible: Any = None) -> tuple[Any, Any]:
        """Encode N instances.

        Args:
            keypoints: (N, K, 2), in input pixels.
            visible: (N, K), visible from 0.5 on; all are visible if it is not given.

        Returns:
            Targets, each ``(N, *shape)``, and weights of keypoints (N, K).
        """

    @abstractmethod
    def decode_batch(self, encoded: Any) -> tuple[Any, Any]:
        """Decode N instances: the inverse of ``encode_batch``.

        Args:
            encoded: Targets or a network's outputs, each ``(N, *shape)``.

        Returns:
            Keypoints (N, K, 2), in input pixels, and scores (N, K).
        """

    def to_heatmaps(self, encoded: Any) -> Any:
        """Convert targets to heatmaps (N, C, H, W) to look at, or return None if there are none.

        Heatmaps cover the input, whatever their size. Targets that already are one array of four
        dimensions are returned as they are.
        """
        return encoded if getattr(encoded, 'ndim', None) == 4 else None

    def check_num_keypoints(self, num_keypoints: int) -> None:
        """Raise a ValueError unless the codec fits K keypoints."""
        if self.num_keypoints not in (None, num_keypoints):
            raise ValueError(f'{num_keypoints} keypoints, but the codec has {self.num_keypoints}')

    def shift_error(self, test_cfg: Mapping[str, Any]) -> str | None:
        """Explain what is wrong with the options of a flip test, or return None.

        Mirrored heatmaps are one pixel off where lengths are whole pixels, and have to be shifted;
        from pixel centre to pixel centre, they are not.
        """
        if test_cfg.get('shift_heatmap') and self.is_udp:
            return (
                'test_cfg.shift_heatmap=True, but the decoder follows UDP, whose heatmaps are '
                'mirrored without a shift: set it to False'
            )
        return None
