"""Resize and pad images to the input of a detector, as MMDetection's ``Resize`` and ``Pad`` do."""

from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np

INTERPOLATIONS = dict(
    nearest=cv2.INTER_NEAREST,
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=cv2.INTER_AREA,
    lanczos=cv2.INTER_LANCZOS4,
)


@dataclass(frozen=True)
class Letterbox:
    """Resize an image, then pad it at the right and at the bottom.

    Attributes:
        resize_to: (w, h) that images are resized to, in pixels; with ``keep_ratio`` the largest
            size, in either orientation.
        pad_to: (w, h) that images are padded to; None with ``size_divisor``.
        size_divisor: Images are padded to multiples of it; 0 with ``pad_to``.
        keep_ratio: Whether the aspect ratio of images stays.
        interpolation: One of ``INTERPOLATIONS``.
        pad_value: Colour of the padding, BGR.
    """

    resize_to: tuple[int, int]
    pad_to: tuple[int, int] | None = None
    size_divisor: int = 0
    keep_ratio: bool = True
    interpolation: str = 'bilinear'
    pad_value: tuple[float, float, float] = (0, 0, 0)

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Resize and pad an image.

        Args:
            image: (H, W, 3), uint8, BGR.

        Returns:
            (h, w, 3), uint8, BGR, and the factors (2,) by which its width and its height have
            been resized.
        """
        before = (image.shape[1], image.shape[0])
        size = self.resized(before)
        resized = cv2.resize(image, size, interpolation=INTERPOLATIONS[self.interpolation])
        width, height = self.padded(size)
        padded = cv2.copyMakeBorder(
            resized,
            *(0, height - size[1], 0, width - size[0]),
            cv2.BORDER_CONSTANT,
            value=self.pad_value,
        )
        return padded, np.divide(size, before, dtype=np.float64)

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (w, h) of a resized image of (w, h)."""
        if not self.keep_ratio:
            return (self.resize_to[0], self.resize_to[1])
        factor = min(
            max(self.resize_to) / max(size),
            min(self.resize_to) / min(size),
        )
        width, height = (max(1, int(length * factor + 0.5)) for length in size)
        return width, height

    def padded(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (w, h) of a padded image of (w, h)."""
        if self.pad_to is not None:
            return (self.pad_to[0], self.pad_to[1])
        width, height = (ceil(length / self.size_divisor) * self.size_divisor for length in size)
        return width, height

    @property
    def input_size(self) -> tuple[int, int]:
        """The (w, h) of all inputs, or with ``size_divisor`` of the largest one."""
        if self.pad_to is None and self.keep_ratio:
            longest = max(self.resize_to)
            return self.padded((longest, longest))
        return self.padded(self.resize_to)
