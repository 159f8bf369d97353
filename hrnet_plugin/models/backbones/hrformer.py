"""HRFormer: Yuan et al., https://arxiv.org/abs/2110.09408, with the names of stock MMPose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from torch import nn

from ...registry import MODELS
from ..archs import HRFORMER_ARCHS
from ..layers import TransformerBlock, separable_down
from ..layers.conv_norm import NormCfg
from ..layers.windows import Size
from .base import BN, NORMAL, InitCfg
from .conv_stem import BlockStage, ConvStemBackbone, read_block_stage

LN = dict(type='LN', eps=1e-6)
BLOCKS = {'HRFORMERBLOCK': TransformerBlock}


@dataclass(frozen=True)
class TransformerStage(BlockStage):
    """A stage of transformer blocks; tuples have an entry for each stream.

    Attributes:
        heads: attention heads.
        windows: height and width of the windows.
        mlp_ratios: channels inside the FFN, as multiples of those outside.
        drop_paths: chance to skip a residual path, block by block through all modules.
    """

    heads: tuple[int, ...]
    windows: tuple[Size, ...]
    mlp_ratios: tuple[float, ...]
    drop_paths: tuple[float, ...] = ()

    @property
    def depth(self) -> int:
        """Blocks, one behind the other, in a module."""
        return max(self.blocks)


@MODELS.register_module()
class HRFormer(ConvStemBackbone):
    """HRFormer: HRNet's streams with transformer blocks, separable exchange, bilinear upsampling.

    Args:
        extra: the architecture as stock configs write it, ``dict(stage1=…, …, stage4=…)``,
            optionally with ``drop_path_rate``, ``with_rpe``, ``with_pad_mask`` and
            ``upsample=dict(mode=…, align_corners=…)``.
        in_channels: channels of the image.
        norm_cfg: norm layers of convolutions, as in MMCV.
        transformer_norm_cfg: norm layers before attention and FFN, over the last dimension.
        norm_eval: hold the statistics of batch norms in training.
        frozen_stages: hold the stem (0) and the stages up to this one in training; -1 holds none.
        with_cp: save memory in training by computing blocks again in the backward pass.
        zero_init_residual: begin with residual blocks (stage 1) that are the identity.
        multiscale_output: put out all four streams instead of stream 0 only.
        init_cfg: how weights are initialised, as in MMEngine.
        arch: name of a published architecture (:data:`hrnet_plugin.archs.HRFORMER_ARCHS`), instead
            of ``extra``.
        drop_path_rate: chance that a sample skips a residual path of the last block in training;
            it rises from 0 at the first block of stage 2. If None: what ``extra`` says, else 0.
        with_rpe: add the relative position bias to attention; checkpoints of the official pose
            code are trained without. If None: what ``extra`` says, else True.
        with_pad_mask: let no token look at the padding of its window; published checkpoints are
            trained without. If None: what ``extra`` says, else False.

    Raises:
        ValueError: a name, a length or a number in ``arch`` or ``extra`` is wrong.

    Example:
        >>> import torch
        >>> streams = HRFormer(arch='small', multiscale_output=True)(torch.rand(1, 3, 64, 64))
        >>> [tuple(x.shape) for x in streams]
        [(1, 32, 16, 16), (1, 64, 8, 8), (1, 128, 4, 4), (1, 256, 2, 2)]
    """

    archs = HRFORMER_ARCHS
    default_upsample: ClassVar = dict(mode='bilinear', align_corners=False)
    extra_options = ('drop_path_rate', 'with_rpe', 'with_pad_mask')
    unread_in_stage1 = ('num_heads', 'mlp_ratios', 'num_mlp_ratios')

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
    ) -> None:
        super().__init__(
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            zero_init_residual=zero_init_residual,
            init_cfg=init_cfg,
        )
        self.transformer_norm_cfg = transformer_norm_cfg
        self.build(
            arch,
            extra,
            in_channels,
            multiscale_output,
            drop_path_rate=drop_path_rate,
            with_rpe=with_rpe,
            with_pad_mask=with_pad_mask,
        )

    def read_extra(self, extra: Mapping[str, Any]) -> list[BlockStage]:
        stage1, *others = super().read_extra(extra)
        self.with_rpe = extra.get('with_rpe', True)
        self.with_pad_mask = extra.get('with_pad_mask', False)
        rate = extra.get('drop_path_rate', 0.0)
        if not 0 <= rate < 1:
            raise ValueError(f'extra.drop_path_rate={rate}; expected from 0 (none) to below 1')
        stages = [stage for stage in others if isinstance(stage, TransformerStage)]
        depths = [stage.modules * stage.depth for stage in stages]
        # As floats: torch.compile takes NumPy's for tensors.
        ramp = iter(np.linspace(0, rate, sum(depths)).tolist())
        return [
            stage1,
            *(
                replace(stage, drop_paths=tuple(islice(ramp, depth)))
                for stage, depth in zip(stages, depths)
            ),
        ]

    def read_stage(self, where: str, cfg: Mapping[str, Any]) -> TransformerStage:
        stage = read_block_stage(where, cfg, BLOCKS, ('num_heads', 'window_sizes', 'mlp_ratios'))
        for i, channels in enumerate(stage.channels):
            heads, ratio = cfg['num_heads'][i], cfg['mlp_ratios'][i]
            if heads < 1 or channels % heads:
                raise ValueError(
                    f'{where}: num_heads[{i}]={heads} does not divide num_channels[{i}]={channels}'
                )
            if channels * ratio < 1:
                raise ValueError(
                    f'{where}: mlp_ratios[{i}]={ratio} of num_channels[{i}]={channels} '
                    'leaves no channels; 4 is usual'
                )
        windows = enumerate(cfg['window_sizes'])
        return TransformerStage(
            **vars(stage),
            heads=tuple(cfg['num_heads']),
            windows=tuple(read_window(f'{where}: window_sizes[{i}]', w) for i, w in windows),
            mlp_ratios=tuple(cfg['mlp_ratios']),
        )

    def make_branch(self, stage: BlockStage, module: int, stream: int) -> nn.Sequential:
        assert isinstance(stage, TransformerStage)
        drop_paths = stage.drop_paths[module * stage.depth :][: stage.blocks[stream]]
        return nn.Sequential(
            *(
                TransformerBlock(
                    stage.channels[stream],
                    stage.heads[stream],
                    stage.windows[stream],
                    stage.mlp_ratios[stream],
                    drop_path,
                    norm_cfg=self.norm_cfg,
                    transformer_norm_cfg=self.transformer_norm_cfg,
                    with_rpe=self.with_rpe,
                    with_pad_mask=self.with_pad_mask,
                    with_cp=self.with_cp,
                )
                for drop_path in drop_paths
            )
        )

    def make_down(self, in_channels: int, out_channels: int, steps: int) -> nn.Sequential:
        return separable_down(
            in_channels, out_channels, steps, norm_cfg=self.norm_cfg, last_relu=False
        )


def read_window(where: str, window: int | Sequence[int]) -> Size:
    """The height and width of a window given by its side or by both."""
    sides = tuple(window) if isinstance(window, Sequence) else (window, window)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            f'{where}={window}; expected a whole number above 0, or two: height, width'
        )
    return sides
