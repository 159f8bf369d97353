"""Keypoint codecs: encode keypoints as a network's targets, decode its outputs to keypoints."""

from .deprecated import follows_udp, shift_error
from .gaussian_heatmap import GaussianHeatmap
from .protocol import KeypointCodec
from .stock import as_keypoint_codec

__all__ = ['GaussianHeatmap', 'KeypointCodec', 'as_keypoint_codec', 'follows_udp', 'shift_error']
