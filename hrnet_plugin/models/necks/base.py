"""What all necks share."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from ..layers.initialisation import InitCfg


class StreamNeck(BaseModule):
    """A neck that reads all streams of a backbone.

    Args:
        in_channels: Channels of the streams, high to low resolution.
        out_channels: Channels of each output.
        out_strides: Stride of each output, in pixels of the image.
        init_cfg: Initialisation of the weights, as in MMEngine.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        out_strides: Sequence[int],
        init_cfg: InitCfg,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = tuple(in_channels)
        self.out_channels = out_channels
        self.out_strides = tuple(out_strides)

    def check_channels(self, channels: Sequence[int]) -> None:
        """Raise a ValueError unless streams of these channels fit the neck."""
        if tuple(channels) != self.in_channels:
            raise ValueError(
                f'{type(self).__name__}.in_channels={self.in_channels}, but the backbone puts out '
                f'{len(channels)} stream(s), of {tuple(channels)} channels: set in_channels to '
                'that, or multiscale_output=True of the backbone for all streams'
            )

    def check_streams(self, streams: Sequence[Tensor]) -> None:
        """Raise a ValueError unless streams, each (N, C_i, H_i, W_i), fit the neck."""
        self.check_channels([x.shape[1] for x in streams])
