"""Bit depth of 16-bit images, and their conversion to 8 bits."""

import numpy as np
import pytest

from hrnet_plugin.utils.bit_depth import to_8_bits, value_bits


@pytest.mark.parametrize(
    ('largest', 'bits'),
    [(0, 8), (255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (65535, 16)],
)
def test_value_bits(largest, bits):
    assert value_bits(np.array([[0, largest]], np.uint16)) == bits


def test_values_keep_their_upper_8_bits():
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    for bits in (8, 10, 12, 14, 16):
        deep = (values << (bits - 8)).astype(np.uint16)
        deep[0, 0] = (1 << bits) - 1
        scaled = to_8_bits(deep)
        assert scaled.dtype == np.uint8
        np.testing.assert_array_equal(scaled.reshape(-1, 3)[1:], values.reshape(-1, 3)[1:])
        assert scaled[0, 0].tolist() == [255, 255, 255]


def test_empty_image():
    assert to_8_bits(np.zeros((0, 3), np.uint16)).shape == (0, 3)
