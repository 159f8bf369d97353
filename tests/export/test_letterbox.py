"""Images become the inputs that MMDetection's transforms make of them."""

import numpy as np
import pytest
from mmdet.datasets.transforms import Pad, Resize
from support.detector_models import PAD_VALUE

from hrnet_plugin.export import Letterbox

SIZES = [(64, 48), (48, 64), (31, 97), (400, 300), (1000, 3), (64, 64), (5, 5)]


@pytest.mark.parametrize(
    'letterbox',
    [
        Letterbox((64, 64), (64, 64), pad_value=PAD_VALUE),
        Letterbox((64, 64), (96, 80), interpolation='area'),
        Letterbox((64, 64), size_divisor=32, pad_value=PAD_VALUE),
        Letterbox((80, 50), size_divisor=16, interpolation='nearest'),
        Letterbox((80, 50), (96, 64), keep_ratio=False, interpolation='bicubic'),
        Letterbox((70, 50), size_divisor=32, keep_ratio=False),
    ],
    ids=str,
)
def test_same_inputs_as_mmdet(letterbox: Letterbox) -> None:
    resize = Resize(
        scale=letterbox.resize_to,
        keep_ratio=letterbox.keep_ratio,
        interpolation=letterbox.interpolation,
    )
    pad = Pad(
        size=letterbox.pad_to,
        size_divisor=letterbox.size_divisor or None,
        pad_val=dict(img=letterbox.pad_value),
    )
    rng = np.random.default_rng(0)
    largest = np.zeros(2, int)
    for width, height in SIZES:
        if letterbox.keep_ratio and min(width, height) < 5:  # mmdet leaves no pixel of it
            continue
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        expected = pad(resize(dict(img=image)))
        padded, factors = letterbox(image)
        np.testing.assert_array_equal(padded, expected['img'])
        assert tuple(factors) == expected['scale_factor']
        largest = np.maximum(largest, padded.shape[1::-1])
    assert tuple(largest) == letterbox.input_size


def test_thin_images_keep_a_pixel() -> None:
    padded, factors = Letterbox((64, 64), (64, 64))(np.full((1, 1000, 3), 9, np.uint8))
    assert padded.shape == (64, 64, 3)
    assert (padded[0] == 9).all()
    assert (padded[1:] == 0).all()
    assert tuple(factors) == (0.064, 1.0)
