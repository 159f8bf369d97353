"""The iterative head of the published Lite-HRNet code: https://github.com/HRNet/Lite-HRNet."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from .conv_norm import NormCfg
from .shuffle import depthwise, pointwise


class IterativeHead(nn.Module):
    """Add each stream to the next higher one, from the lowest resolution up to stream 0.

    Args:
        channels: Channels of each stream, high to low resolution.
        norm_cfg: Norm layers, as in MMCV.

    Example:
        >>> import torch
        >>> head = IterativeHead((8, 16, 32), norm_cfg=dict(type='BN'))
        >>> streams = [torch.rand(1, c, size, size) for c, size in ((8, 12), (16, 6), (32, 3))]
        >>> [tuple(x.shape) for x in head(streams)]
        [(1, 8, 12, 12), (1, 8, 6, 6), (1, 16, 3, 3)]
    """

    def __init__(self, channels: Sequence[int], *, norm_cfg: NormCfg) -> None:
        super().__init__()
        # State dicts number them from the lowest resolution up.
        self.projects = nn.ModuleList(
            nn.Sequential(
                OrderedDict(
                    depthwise_conv=depthwise(i, norm_cfg=norm_cfg),
                    pointwise_conv=pointwise(i, o, norm_cfg=norm_cfg),
                )
            )
            for i, o in pairwise([*reversed(channels), channels[0]])
        )

    def forward(self, streams: Sequence[Tensor]) -> list[Tensor]:
        """Take all streams, high to low resolution, to as many of the same sizes.

        Output ``i`` has the channels of stream ``i - 1``, output 0 those of stream 0.
        """
        first, *others = self.projects
        *higher, lowest = streams
        outputs = [first(lowest)]
        for project, stream in zip(others, reversed(higher)):
            size = stream.shape[-2:]
            lower = F.interpolate(outputs[-1], size=size, mode='bilinear', align_corners=True)
            outputs.append(project(stream + lower))
        return outputs[::-1]
