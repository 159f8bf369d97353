"""Lite-HRNet: Yu et al., https://arxiv.org/abs/2104.06403, with the names of stock MMPose."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from ...registry import MODELS, strict_options
from ..archs import LITEHRNET_ARCHS, LiteStage
from ..extra import litehrnet_from_extra, read_arch
from ..layers import (
    AliasedExchange,
    Branches,
    ConditionalChannelWeighting,
    Exchange,
    IterativeHead,
    ShuffleStem,
    ShuffleUnit,
    Transition,
    conv_norm,
    separable_conv_norm,
    separable_down,
)
from ..layers.conv_norm import BN, NormCfg
from ..layers.initialisation import NORMAL, InitCfg
from .base import Modules, ParallelStreamBackbone, build_stages, in_pairs


@MODELS.register_module()
@strict_options
class LiteHRNet(ParallelStreamBackbone):
    """Lite-HRNet and its naive form.

    Args:
        extra: The architecture as stock configs write it,
            ``dict(stem=…, num_stages=…, stages_spec=…, with_head=…)``.
        frozen_stages: Freeze the stem (0) and this many stages behind it; -1 freezes none.
        aliased_fusion: Whether to fuse streams as the published weights need it
            (``AliasedExchange``). False adds each stream once, as in the paper, for training from
            scratch.
        multiscale_output: Whether to return all streams instead of stream 0 only: those of the
            iterative head, each with the channels of the next higher stream, or, in an ``extra``
            with ``with_head=False``, those of the last stage.
        arch: Name of a published architecture (:data:`hrnet_plugin.archs.LITEHRNET_ARCHS`),
            instead of ``extra``.

    All other arguments and attributes are those of :class:`~hrnet_plugin.models.HRNet`.

    Raises:
        ValueError: A name, a length or a width in ``arch`` or ``extra`` is wrong, or
            ``frozen_stages`` is out of range.

    Example:
        >>> import torch
        >>> with torch.device('meta'):
        ...     streams = LiteHRNet(arch='lite-18')(torch.rand(1, 3, 256, 192))
        >>> [tuple(x.shape) for x in streams]
        [(1, 40, 64, 48)]
        >>> with torch.device('meta'):
        ...     LiteHRNet(arch='lite-18', multiscale_output=True).out_channels
        (40, 40, 80, 160)
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
        init_cfg: InitCfg = NORMAL,
        aliased_fusion: bool = True,
        multiscale_output: bool = False,
        arch: str | None = None,
    ) -> None:
        spec = read_arch('LiteHRNet', LITEHRNET_ARCHS, arch, litehrnet_from_extra, extra)
        spec = replace(spec, multiscale_output=multiscale_output)
        exchange = partial(
            AliasedExchange if aliased_fusion else Exchange,
            down=partial(separable_down, norm_cfg=norm_cfg, last_relu=False),
            up=lambda i, o, _: conv_norm(i, o, 1, norm_cfg=norm_cfg, relu=False),
            upsample=dict(mode='nearest'),
        )

        def blocks(stage: LiteStage, kind: type[nn.Module], *args: Any) -> nn.Sequential:
            options = dict(norm_cfg=norm_cfg, with_cp=with_cp)
            return nn.Sequential(*(kind(*args, **options) for _ in range(stage.blocks)))

        def module(stage: LiteStage, _: int, streams: int) -> nn.Module:
            parts: OrderedDict[str, nn.Module] = OrderedDict()
            if stage.kind == 'LITE':
                parts['layers'] = blocks(
                    stage, ConditionalChannelWeighting, stage.channels, stage.ratio
                )
            else:
                parts['layers'] = Branches(blocks(stage, ShuffleUnit, c) for c in stage.channels)
            if stage.fuse:
                parts['fuse_layers'] = exchange(stage.channels, streams)
            return nn.Sequential(parts)

        channels = spec.stages[-1].channels
        stem: Modules = dict(
            stem=ShuffleStem(in_channels, **vars(spec.stem), norm_cfg=norm_cfg, with_cp=with_cp)
        )
        stages = build_stages(
            spec.stem.out_channels,
            spec.stages,
            # Stock's last exchange has a row for each stream, even those that nothing reads.
            outputs=len(channels),
            transition=partial(
                Transition,
                down=partial(separable_down, norm_cfg=norm_cfg, last_relu=True),
                same=partial(separable_conv_norm, norm_cfg=norm_cfg),
            ),
            module=module,
            first_transition=0,
            first_stage=0,
        )
        freezable = [[*stem], *in_pairs([*stages])]
        if spec.with_head:
            stages['head_layer'] = IterativeHead(channels, norm_cfg=norm_cfg)
        super().__init__(
            stem,
            stages,
            freezable=freezable,
            out_channels=spec.out_channels,
            norm_eval=norm_eval,
            frozen_stages=frozen_stages,
            init_cfg=init_cfg,
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return super().forward(x)[: len(self.out_channels)]
