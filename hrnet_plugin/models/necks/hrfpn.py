"""HRNetV2p: Wang et al., https://arxiv.org/abs/1908.07919, section 3.4."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from ...registry import MODELS, strict_options
from ...utils.errors import unknown_name
from ..archs import STEM_STRIDE, doubled
from ..layers import conv_module
from ..layers.conv_norm import NormCfg
from ..layers.initialisation import XAVIER, InitCfg
from ..layers.recompute import recomputed
from .base import StreamNeck
from .concat_streams import concat_streams
from .strides import check_heads_when_built

POOLINGS: dict[str, Callable[..., Tensor]] = dict(AVG=F.avg_pool2d, MAX=F.max_pool2d)


@MODELS.register_module()
@strict_options
class HRFPN(StreamNeck):
    """Concatenate all streams, reduce them by a 1x1 convolution, and pool that to a pyramid.

    Names and options are those of MMDetection's HRFPN. Streams are resized to the size of stream
    0, so that 32 need not divide the image.

    A detector of MMDetection with this neck is refused when it is built if its heads
    (``prior_generator``; ``bbox_roi_extractor`` and ``mask_roi_extractor``) assume other strides
    than the neck has. In FCOS these are 8 to 128, for which the neck needs ``stride=2``.

    Args:
        in_channels: Channels of the streams, high to low resolution.
        out_channels: Channels of each level.
        num_outs: Number of levels, each of half the size of the one before.
        pooling_type: ``'AVG'`` or ``'MAX'``.
        conv_cfg: Type of the convolutions, as in MMCV; None: plain ones.
        norm_cfg: Norm layers behind the convolutions, as in MMCV; None: none, as published. Stock
            ignores it.
        with_cp: Whether to recompute convolutions in the backward pass, to save memory.
        stride: Stride of the 3x3 convolutions, one of which ends each level.
        share_conv: Whether one 3x3 convolution ends all levels; an option of the official code.
        init_cfg: Initialisation of the weights, as in MMEngine.

    Attributes:
        out_channels: Channels of each level.
        out_strides: Stride of each level, in pixels of the image.

    Raises:
        ValueError: ``pooling_type`` is unknown. In use: the streams have other channels.

    Example:
        >>> import torch
        >>> neck = HRFPN((8, 16), out_channels=4, num_outs=3)
        >>> [tuple(x.shape) for x in neck((torch.rand(1, 8, 23, 31), torch.rand(1, 16, 12, 16)))]
        [(1, 4, 23, 31), (1, 4, 11, 15), (1, 4, 5, 7)]
        >>> neck.out_strides
        (4, 8, 16)
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int = 5,
        pooling_type: str = 'AVG',
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: NormCfg | None = None,
        with_cp: bool = False,
        stride: int = 1,
        share_conv: bool = False,
        init_cfg: InitCfg = XAVIER,
    ) -> None:
        if pooling_type not in POOLINGS:
            raise ValueError(unknown_name('pooling_type of HRFPN', pooling_type, POOLINGS))
        strides = doubled(STEM_STRIDE * stride, num_outs)
        super().__init__(in_channels, out_channels, strides, init_cfg)
        self.num_outs = num_outs
        self.pooling_type = pooling_type
        self.with_cp = with_cp
        options: dict[str, Any] = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, relu=False)
        self.reduction_conv = conv_module(sum(in_channels), out_channels, 1, **options)
        self.fpn_convs = nn.ModuleList(
            conv_module(out_channels, out_channels, 3, stride=stride, **options)
            for _ in range(1 if share_conv else num_outs)
        )
        check_heads_when_built()

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the levels of the pyramid.

        Args:
            streams: Streams, each (N, in_channels[i], H_i, W_i).

        Returns:
            Levels, each (N, out_channels, H, W): level ``i`` pools stream 0's size by ``2**i``,
            rounded down, and then has the ``stride``.
        """
        self.check_streams(streams)
        x = self._convolve(self.reduction_conv, concat_streams(streams))
        pool = POOLINGS[self.pooling_type]
        pooled = [x, *(pool(x, 2**i, 2**i) for i in range(1, self.num_outs))]
        convs = [*self.fpn_convs] * (self.num_outs // len(self.fpn_convs))
        return tuple(self._convolve(conv, level) for conv, level in zip(convs, pooled))

    def _convolve(self, conv: nn.Module, x: Tensor) -> Tensor:
        """Apply a convolution, to be recomputed if ``with_cp``."""
        return recomputed(conv, conv, x) if self.with_cp and x.requires_grad else conv(x)
