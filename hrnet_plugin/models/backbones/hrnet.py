"""HRNet: Wang et al., https://arxiv.org/abs/1908.07919, with the names of stock MMPose."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from ...registry import MODELS, strict_options
from ..archs import HRNET_ARCHS, BlockStage
from ..extra import hrnet_from_extra, read_arch, with_options
from ..layers import conv_down
from ..layers.conv_norm import BN, NormCfg
from ..layers.initialisation import NORMAL, InitCfg
from .base import ParallelStreamBackbone
from .conv_stem import build_conv_stages, build_conv_stem, build_residual_blocks, conv_freezable


@MODELS.register_module()
@strict_options
class HRNet(ParallelStreamBackbone):
    """HRNet: streams exchange by 1x1 convolutions and upsampling, which differs between tasks.

    What published weights were trained with, as ``upsample``:

    * pose, classification and detection: ``dict(mode='nearest')``, the default;
    * segmentation, the official branches ``master`` and ``pytorch-v1.1``, and MMSegmentation:
      ``dict(mode='bilinear', align_corners=False)``;
    * segmentation, the official branch ``HRNet-OCR``:
      ``dict(mode='bilinear', align_corners=True)``.

    With another one, the outputs of segmentation weights are half a standard deviation off.

    Args:
        extra: The architecture as stock configs write it, ``dict(stage1=…, …, stage4=…)``,
            optionally with ``upsample``.
        in_channels: Channels of the images.
        norm_cfg: Norm layers, as in MMCV.
        norm_eval: Whether batch norms keep their statistics in training.
        frozen_stages: Freeze the stem (0) and the stages up to this one; -1 freezes none.
        with_cp: Whether to recompute blocks in the backward pass, to save memory.
        zero_init_residual: Whether residual blocks start as the identity.
        multiscale_output: Whether to return all streams instead of stream 0 only.
        init_cfg: Initialisation of the weights, as in MMEngine.
        arch: Name of a published architecture (:data:`hrnet_plugin.archs.HRNET_ARCHS`), instead of
            ``extra``.
        upsample: Upsampling of the exchange, ``dict(mode=…, align_corners=…)`` as in
            :func:`torch.nn.functional.interpolate`, to the size of the target; ``'nearest'`` with
            ``align_corners`` upsamples by whole powers of 2 and then, where 32 does not divide the
            image, bilinearly to the size of the target. None: that of ``extra``, else nearest.

    Attributes:
        out_channels: Channels of the output streams, high to low resolution.
        out_strides: Stride of each output stream, in input pixels.
        upsample: Upsampling of the exchange.

    Raises:
        ValueError: A name or a length in ``arch``, ``extra`` or ``upsample`` is wrong, or
            ``frozen_stages`` is out of range.

    Example:
        >>> import torch
        >>> with torch.device('meta'):
        ...     backbone = HRNet(arch='w32', multiscale_output=True)
        ...     streams = backbone(torch.rand(1, 3, 256, 192))
        >>> [tuple(x.shape) for x in streams]
        [(1, 32, 64, 48), (1, 64, 32, 24), (1, 128, 16, 12), (1, 256, 8, 6)]
        >>> backbone.out_channels, backbone.out_strides
        ((32, 64, 128, 256), (4, 8, 16, 32))
    """

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
        upsample: Mapping[str, Any] | None = None,
    ) -> None:
        spec = read_arch('HRNet', HRNET_ARCHS, arch, hrnet_from_extra, extra)
        spec = with_options(spec, multiscale_output=multiscale_output or None, upsample=upsample)

        def branch(stage: BlockStage, _: int, stream: int) -> nn.Module:
            return build_residual_blocks(
                stage, stream, stage.channels[stream], norm_cfg=norm_cfg, with_cp=with_cp
            )

        stem = build_conv_stem(in_channels, spec.stage1, norm_cfg=norm_cfg, with_cp=with_cp)
        stages = build_conv_stages(
            spec.stage1.channels[0],
            spec.stages,
            len(spec.out_channels),
            branch=branch,
            down=partial(conv_down, norm_cfg=norm_cfg, last_relu=False),
            upsample=spec.upsample,
            norm_cfg=norm_cfg,
        )
        super().__init__(
            stem,
            stages,
            freezable=conv_freezable(stem, stages),
            out_channels=spec.out_channels,
            norm_eval=norm_eval,
            frozen_stages=frozen_stages,
            init_cfg=init_cfg,
            zero_init_residual=zero_init_residual,
        )
        self.upsample = dict(spec.upsample)
