"""Codecs of MMPose as ``GaussianHeatmap``, which decodes on any device and in exported graphs."""

from mmpose.codecs import MSRAHeatmap, UDPHeatmap

from .gaussian_heatmap import GaussianHeatmap


def as_gaussian_heatmap(codec: object) -> GaussianHeatmap | None:
    """Return a codec that decodes as this one does, or None if there is none.

    Args:
        codec: A ``GaussianHeatmap``, which is returned itself, or any codec of MMPose.
    """
    if isinstance(codec, GaussianHeatmap):
        return codec
    if isinstance(codec, MSRAHeatmap):
        variant = 'dark' if codec.unbiased else 'msra'
    elif isinstance(codec, UDPHeatmap) and codec.heatmap_type == 'gaussian':
        variant = 'udp'
    else:
        return None
    return GaussianHeatmap(
        codec.input_size,
        codec.heatmap_size,
        codec.sigma,
        variant,
        blur_kernel_size=None if variant == 'msra' else codec.blur_kernel_size,
    )
