"""Codecs of MMPose as ours: the same keypoints, decoded on any device."""

from typing import Any

import numpy as np
import pytest
from mmpose.codecs import MSRAHeatmap, SimCCLabel, UDPHeatmap

from hrnet_plugin.codecs import GaussianHeatmap, as_gaussian_heatmap

SIZES: dict[str, Any] = dict(input_size=(48, 64), heatmap_size=(12, 16), sigma=2)


@pytest.mark.parametrize(
    ('stock', 'variant'),
    [
        (MSRAHeatmap(**SIZES), 'msra'),
        (MSRAHeatmap(**SIZES, unbiased=True, blur_kernel_size=7), 'dark'),
        (UDPHeatmap(**SIZES, blur_kernel_size=7), 'udp'),
    ],
    ids=['msra', 'dark', 'udp'],
)
def test_decodes_the_same(stock: Any, variant: str) -> None:
    ours = as_gaussian_heatmap(stock)
    assert ours is not None
    assert ours.variant == variant
    keypoints = np.random.default_rng(0).uniform(8, [40, 56], (1, 5, 2))
    heatmaps = stock.encode(keypoints)['heatmaps']
    for a, b in zip(ours.decode(heatmaps), stock.decode(heatmaps)):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_others() -> None:
    ours = GaussianHeatmap(**SIZES)
    assert as_gaussian_heatmap(ours) is ours
    assert as_gaussian_heatmap(UDPHeatmap(**SIZES, heatmap_type='combined')) is None
    assert as_gaussian_heatmap(SimCCLabel(input_size=(48, 64))) is None
    assert as_gaussian_heatmap(None) is None
