"""HRFormer: Yuan et al., https://arxiv.org/abs/2110.09408, with the names of stock MMPose."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from ...registry import MODELS, strict_options
from ..archs import HRFORMER_ARCHS, HRFormerSpec, TransformerStage
from ..extra import hrformer_from_extra, read_arch, read_window, with_options
from ..layers import TransformerBlock, separable_down
from ..layers.conv_norm import BN, NormCfg
from ..layers.initialisation import NORMAL, InitCfg
from .base import ParallelStreamBackbone
from .conv_stem import build_conv_stages, build_conv_stem, conv_freezable

LN = dict(type='LN', eps=1e-6)


@MODELS.register_module()
@strict_options
class HRFormer(ParallelStreamBackbone):
    """HRFormer: HRNet's streams with transformer blocks and separable exchange.

    What published weights were trained with:

    * pose, official: ``upsample=dict(mode='bilinear', align_corners=False)``, the default, and
      ``with_rpe=False``; MMPose's own pose weights: with the position bias;
    * classification: ``upsample=dict(mode='nearest')`` and the position bias;
    * segmentation: ``upsample=dict(mode='nearest', align_corners=True)`` and the position bias;
      some of ``base`` have a ``window`` of 13 or 15.

    Args:
        extra: The architecture as stock configs write it, ``dict(stage1=…, …, stage4=…)``,
            optionally with ``drop_path_rate``, ``with_rpe``, ``with_pad_mask`` and
            ``upsample=dict(mode=…, align_corners=…)``.
        transformer_norm_cfg: Norm layers before attention and FFN, over the last dimension.
        arch: Name of a published architecture (:data:`hrnet_plugin.archs.HRFORMER_ARCHS`), instead
            of ``extra``.
        drop_path_rate: Probability that a sample skips a residual path of the last block in
            training; it rises from 0 at the first block of stage 2. None: that of ``arch`` or
            ``extra``, else 0.
        with_rpe: Whether to add the relative position bias to attention; checkpoints of the
            official pose code are trained without. None: as in ``extra``, else True.
        with_pad_mask: Whether to keep tokens from attending to the padding of their window;
            published checkpoints are trained without. None: as in ``extra``, else False.
        upsample: Upsampling of the exchange, as in :class:`~hrnet_plugin.models.HRNet`. None: that
            of ``extra``, else bilinear without ``align_corners``.
        window: Side of the attention windows of all streams, in tokens, or their height and
            width. None: those of ``arch`` (7) or ``extra``.

    All other arguments and attributes are those of :class:`~hrnet_plugin.models.HRNet`.

    Raises:
        ValueError: A name, a length or a number in ``arch``, ``extra``, ``upsample`` or ``window``
            is wrong, or ``frozen_stages`` or ``drop_path_rate`` is out of range.

    Example:
        >>> import torch
        >>> with torch.device('meta'):
        ...     backbone = HRFormer(arch='small', multiscale_output=True)
        ...     streams = backbone(torch.rand(1, 3, 256, 192))
        >>> [tuple(x.shape) for x in streams]
        [(1, 32, 64, 48), (1, 64, 32, 24), (1, 128, 16, 12), (1, 256, 8, 6)]
    """

    def __init__(
        self,
        extra: Mapping[str, Any] | None = None,
        in_channels: int = 3,
        *,
        norm_cfg: NormCfg = BN,
        transformer_norm_cfg: NormCfg = LN,
        norm_eval: bool = False,
        frozen_stages: int = -1,
        with_cp: bool = False,
        zero_init_residual: bool = False,
        multiscale_output: bool = False,
        init_cfg: InitCfg = NORMAL,
        arch: str | None = None,
        drop_path_rate: float | None = None,
        with_rpe: bool | None = None,
        with_pad_mask: bool | None = None,
        upsample: Mapping[str, Any] | None = None,
        window: int | Sequence[int] | None = None,
    ) -> None:
        spec = read_arch('HRFormer', HRFORMER_ARCHS, arch, hrformer_from_extra, extra)
        spec = with_options(
            spec,
            multiscale_output=multiscale_output or None,
            drop_path_rate=drop_path_rate,
            with_rpe=with_rpe,
            with_pad_mask=with_pad_mask,
            upsample=upsample,
            stages=None if window is None else with_window(spec.stages, window),
        )
        drop_paths = drop_path_ramp(spec)

        def branch(stage: TransformerStage, module: int, stream: int) -> nn.Module:
            rates = drop_paths[stage][module]
            return nn.Sequential(
                *(
                    TransformerBlock(
                        stage.channels[stream],
                        stage.heads[stream],
                        stage.windows[stream],
                        stage.mlp_ratios[stream],
                        drop_path,
                        norm_cfg=norm_cfg,
                        transformer_norm_cfg=transformer_norm_cfg,
                        with_rpe=spec.with_rpe,
                        with_pad_mask=spec.with_pad_mask,
                        with_cp=with_cp,
                    )
                    for drop_path in rates[: stage.blocks[stream]]
                )
            )

        stem = build_conv_stem(in_channels, spec.stage1, norm_cfg=norm_cfg, with_cp=with_cp)
        stages = build_conv_stages(
            spec.stage1.channels[0],
            spec.stages,
            len(spec.out_channels),
            branch=branch,
            down=partial(separable_down, norm_cfg=norm_cfg, last_relu=False),
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


def with_window(
    stages: Sequence[TransformerStage], window: int | Sequence[int]
) -> tuple[TransformerStage, ...]:
    """Return stages with one window for all streams, given by its side or height and width."""
    size = read_window('window', window)
    return tuple(replace(stage, windows=(size,) * len(stage.channels)) for stage in stages)


def drop_path_ramp(spec: HRFormerSpec) -> dict[TransformerStage, list[list[float]]]:
    """Return the probability to drop each block's residual paths.

    It rises linearly from 0 at the first block of stage 2 to ``drop_path_rate`` at the last one of
    stage 4. The stream with most blocks counts; all streams share its first values.

    Returns:
        For each stage a list for each module, with a number for each block.
    """
    depths = [(stage, max(stage.blocks)) for stage in spec.stages]
    total = sum(stage.modules * depth for stage, depth in depths)
    # As floats: torch.compile treats NumPy's as tensors.
    ramp = iter(np.linspace(0, spec.drop_path_rate, total).tolist())
    return {
        stage: [[next(ramp) for _ in range(depth)] for _ in range(stage.modules)]
        for stage, depth in depths
    }
