"""Bit depth of 16-bit images: cameras store 10, 12 or 14 bits in them."""

import numpy as np

DEPTHS = (8, 10, 12, 14, 16)  # of sensors and image files


def value_bits(image: np.ndarray) -> int:
    """Return the smallest usual bit depth that holds all values of an image.

    Args:
        image: Array of non-negative integers, of any shape.

    Returns:
        One of ``DEPTHS``.

    >>> value_bits(np.array([[0, 4095]], np.uint16))
    12
    """
    largest = int(image.max(initial=0))
    return next(bits for bits in DEPTHS if largest < 1 << bits)


def to_8_bits(image: np.ndarray) -> np.ndarray:
    """Scale an image to uint8 by the bit depth that its values use.

    Keeping the upper 8 of 16 bits instead would make 12-bit images almost black.

    Args:
        image: Array of uint16, of any shape.

    Returns:
        uint8 array of the same shape.

    >>> to_8_bits(np.array([0, 2048, 4095], np.uint16)).tolist()
    [0, 128, 255]
    """
    return (image >> (value_bits(image) - 8)).astype(np.uint8)
