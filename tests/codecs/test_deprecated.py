"""Names of the last release still work, and warn."""

import numpy as np
import pytest
from mmpose.codecs import MSRAHeatmap, UDPHeatmap

from hrnet_plugin.codecs import GaussianHeatmap, follows_udp, shift_error

SIZES = dict(input_size=(48, 64), heatmap_size=(12, 16), sigma=2)
UDP = GaussianHeatmap(**SIZES, variant='udp')
SHIFT = dict(shift_heatmap=True)


def test_render_and_locate():
    keypoints = np.array([[[20.0, 30]]])
    with pytest.warns(DeprecationWarning, match='render is now GaussianHeatmap.encode_batch'):
        heatmaps, weights = UDP.render(keypoints, sigma=3)
    np.testing.assert_array_equal(heatmaps, UDP.encode_batch(keypoints, sigma=3)[0])
    with pytest.warns(DeprecationWarning, match='locate is now GaussianHeatmap.decode_batch'):
        points, _ = UDP.locate(heatmaps)
    np.testing.assert_array_equal(points, UDP.decode_batch(heatmaps)[0])
    assert weights.tolist() == [[1]]


def test_functions():
    codecs = [UDP, UDPHeatmap(**SIZES), GaussianHeatmap(**SIZES), MSRAHeatmap(**SIZES), None]
    with pytest.warns(DeprecationWarning, match='follows_udp'):
        assert [follows_udp(c) for c in codecs] == [True, True, False, False, False]
    with pytest.warns(DeprecationWarning, match='shift_error'):
        errors = [shift_error(c, SHIFT) for c in codecs]
    assert [e is not None for e in errors] == [True, True, False, False, False]
