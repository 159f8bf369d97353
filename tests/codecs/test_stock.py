"""MMPose's heatmap codecs behind the protocol, against ours of the same convention."""

import numpy as np
import pytest
import torch
from mmpose.codecs import MSRAHeatmap, SimCCLabel, UDPHeatmap

from hrnet_plugin.codecs import GaussianHeatmap, as_keypoint_codec

SIZES = dict(input_size=(48, 64), heatmap_size=(12, 16), sigma=2)
CODECS = dict(msra=MSRAHeatmap, udp=UDPHeatmap)


def assert_same(values, expected):
    for value, other in zip(values, expected):
        assert type(value) is type(other)
        np.testing.assert_allclose(value, other, atol=1e-4)


@pytest.mark.parametrize('convert', [np.asarray, torch.tensor])
@pytest.mark.parametrize('variant', CODECS)
def test_equals_ours(variant, convert):
    ours = GaussianHeatmap(**SIZES, variant=variant)
    stock = as_keypoint_codec(CODECS[variant](**SIZES))
    assert stock.is_udp == ours.is_udp == (variant == 'udp')
    assert stock.input_size == ours.input_size
    assert stock.target_shapes(5) == ours.target_shapes(5) == dict(heatmaps=(5, 16, 12))
    stock.check_num_keypoints(5)
    shifting = dict(shift_heatmap=True)
    assert stock.shift_error(shifting) == ours.shift_error(shifting)
    assert (stock.shift_error(shifting) is None) == (variant == 'msra')

    rng = np.random.default_rng(0)
    keypoints = convert(rng.uniform(8, [40, 56], (3, 5, 2)).astype(np.float32))
    visible = convert(rng.choice(np.float32([0, 1]), (3, 5)))
    expected, encoded = (
        ours.encode_batch(keypoints, visible),
        stock.encode_batch(keypoints, visible),
    )
    assert_same(encoded, expected)
    # Stock's UDPHeatmap decodes the heatmap of an invisible keypoint to NaN.
    expected, encoded = ours.encode_batch(keypoints), stock.encode_batch(keypoints)
    assert_same(encoded, expected)
    assert_same(stock.decode_batch(encoded[0]), ours.decode_batch(expected[0]))
    assert stock.to_heatmaps(encoded[0]) is encoded[0]


def test_of_discs_and_offsets():
    stock = as_keypoint_codec(UDPHeatmap(**SIZES, heatmap_type='combined', radius_factor=0.125))
    keypoints = np.random.default_rng(0).uniform(8, [40, 56], (3, 5, 2)).astype(np.float32)
    heatmaps, _ = stock.encode_batch(keypoints)
    assert heatmaps.shape[1:] == stock.target_shapes(5)['heatmaps'] == (15, 16, 12)


def test_of_others_nothing_is_known():
    assert as_keypoint_codec(SimCCLabel(input_size=(48, 64))) is None
    assert as_keypoint_codec(None) is None
    ours = GaussianHeatmap(**SIZES)
    assert as_keypoint_codec(ours) is ours
