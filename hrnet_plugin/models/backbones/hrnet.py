"""HRNet: Wang et al., https://arxiv.org/abs/1908.07919, with the names of stock MMPose."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from ...registry import MODELS
from ..archs import HRNET_ARCHS
from ..layers.conv_norm import NormCfg
from .base import BN, NORMAL, InitCfg
from .conv_stem import ConvStemBackbone


@MODELS.register_module()
class HRNet(ConvStemBackbone):
    """HRNet with the exchange of the published code: 1x1 convolution, then nearest upsampling.

    Args:
        extra: the architecture as stock configs write it, ``dict(stage1=…, …, stage4=…)``,
            optionally with ``upsample=dict(mode=…, align_corners=…)``.
        in_channels: channels of the image.
        norm_cfg: norm layers, as in MMCV.
        norm_eval: hold the statistics of batch norms in training.
        frozen_stages: hold the stem (0) and the stages up to this one in training; -1 holds none.
        with_cp: save memory in training by computing blocks again in the backward pass.
        zero_init_residual: begin with blocks that are the identity.
        multiscale_output: put out all four streams instead of stream 0 only.
        init_cfg: how weights are initialised, as in MMEngine.
        arch: name of a published architecture (:data:`hrnet_plugin.archs.HRNET_ARCHS`), instead
            of ``extra``.

    Raises:
        ValueError: a name or a length in ``arch`` or ``extra`` is wrong.

    Example:
        >>> import torch
        >>> streams = HRNet(arch='w32', multiscale_output=True)(torch.rand(1, 3, 64, 64))
        >>> [tuple(x.shape) for x in streams]
        [(1, 32, 16, 16), (1, 64, 8, 8), (1, 128, 4, 4), (1, 256, 2, 2)]
    """

    archs = HRNET_ARCHS
    default_upsample: ClassVar = dict(mode='nearest', align_corners=None)

    def __init__(
        self,
        extra: Mapping[str, Any] | None = None,
        in_channels: int = 3,
        *,
        norm_cfg: NormCfg = BN,
        norm_eval: bool = False,
        frozen_stages: int = -1,
        with_cp: bool = False,
        zero_init_residual: bool = False,
        multiscale_output: bool = False,
        init_cfg: InitCfg = NORMAL,
        arch: str | None = None,
    ) -> None:
        super().__init__(
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            zero_init_residual=zero_init_residual,
            init_cfg=init_cfg,
        )
        self.build(arch, extra, in_channels, multiscale_output)

    def make_down(self, in_channels: int, out_channels: int, steps: int) -> nn.Sequential:
        return self.make_strided(in_channels, out_channels, steps, last_relu=False)
