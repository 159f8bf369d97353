"""Lite-HRNet: Yu et al., https://arxiv.org/abs/2104.06403, with the names of stock MMPose."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from ...registry import MODELS
from ...utils.errors import unknown_name
from ..archs import LITEHRNET_ARCHS
from ..layers import (
    AliasedExchange,
    ConditionalChannelWeighting,
    Exchange,
    ShuffleUnit,
    Transition,
    separable_conv_norm,
    separable_down,
)
from ..layers.conv_norm import NormCfg
from ..layers.shuffle import ShuffleBlock, depthwise, interleave, named_conv, pointwise
from .base import BN, NORMAL, InitCfg, ParallelStreamBackbone, Stage
from .extra import check_keys, check_lengths, check_new_streams, choose_extra

MODULE_TYPES = ('LITE', 'NAIVE')
STAGE_KEYS = (
    'num_modules',
    'num_branches',
    'num_blocks',
    'module_type',
    'with_fuse',
    'reduce_ratios',
    'num_channels',
)


@dataclass(frozen=True)
class LiteStage(Stage):
    """A stage of modules whose blocks see all streams.

    Attributes:
        blocks: blocks in one module.
        kind: ``LITE`` (conditional channel weighting) or ``NAIVE`` (shuffle units).
        ratio: how many times cross-resolution weighting reduces channels.
        fuse: whether streams exchange behind the blocks.
    """

    blocks: int
    kind: str
    ratio: float
    fuse: bool


@MODELS.register_module()
class LiteHRNet(ParallelStreamBackbone[LiteStage]):
    """Lite-HRNet and its naive form; stream 0 is put out.

    Args:
        extra: the architecture as stock configs write it,
            ``dict(stem=…, num_stages=…, stages_spec=…, with_head=…)``.
        in_channels: channels of the image.
        norm_cfg: norm layers, as in MMCV.
        norm_eval: hold the statistics of batch norms in training.
        frozen_stages: hold the stem (0) and this many stages behind it in training; -1 holds none.
        with_cp: save memory in training by computing blocks again in the backward pass.
        init_cfg: how weights are initialised, as in MMEngine.
        aliased_fusion: fuse streams as the published weights need it
            (:class:`~hrnet_plugin.models.layers.AliasedExchange`). False adds each stream once, as
            in the paper, for training from scratch.
        arch: name of a published architecture (:data:`hrnet_plugin.archs.LITEHRNET_ARCHS`),
            instead of ``extra``.

    Raises:
        ValueError: a name, a length or a width in ``arch`` or ``extra`` is wrong.

    Example:
        >>> import torch
        >>> [tuple(x.shape) for x in LiteHRNet(arch='lite-18')(torch.rand(1, 3, 256, 192))]
        [(1, 40, 64, 48)]
    """

    first_transition = 0
    first_stage = 0

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
        arch: str | None = None,
    ) -> None:
        super().__init__(
            norm_cfg=norm_cfg, norm_eval=norm_eval, frozen_stages=frozen_stages, init_cfg=init_cfg
        )
        self.with_cp = with_cp
        self.aliased_fusion = aliased_fusion
        self.upsample = dict(mode='nearest')
        extra = choose_extra(type(self).__name__, LITEHRNET_ARCHS, arch, extra)
        stages = read_extra(extra)
        self.stem = Stem(in_channels, **extra['stem'], norm_cfg=norm_cfg, with_cp=with_cp)
        channels = stages[-1].channels
        # Stock's last exchange has a row for each stream, even those that nothing reads.
        self.add_stages(extra['stem']['out_channels'], stages, outputs=len(channels))
        self.out_channels, self.out_strides = self.out_channels[:1], self.out_strides[:1]
        self.with_head = extra['with_head']
        if self.with_head:
            self.head_layer = IterativeHead(channels, norm_cfg=norm_cfg)

    def forward_stem(self, x: Tensor) -> Tensor:
        return self.stem(x)

    def make_module(self, stage: LiteStage, number: int, outputs: int) -> nn.Sequential:
        def blocks(kind: type[nn.Module], *args: Any) -> nn.Sequential:
            options = dict(norm_cfg=self.norm_cfg, with_cp=self.with_cp)
            return nn.Sequential(*(kind(*args, **options) for _ in range(stage.blocks)))

        module: OrderedDict[str, nn.Module] = OrderedDict()
        if stage.kind == 'LITE':
            module['layers'] = blocks(ConditionalChannelWeighting, stage.channels, stage.ratio)
        else:
            module['layers'] = Branches(blocks(ShuffleUnit, c) for c in stage.channels)
        if stage.fuse:
            kind = AliasedExchange if self.aliased_fusion else Exchange
            module['fuse_layers'] = self.make_exchange(stage.channels, outputs, kind)
        return nn.Sequential(module)

    def make_transition(
        self, in_channels: Sequence[int], out_channels: Sequence[int]
    ) -> Transition:
        def same(i: int, o: int, _: int) -> nn.Module:
            return separable_conv_norm(i, o, norm_cfg=self.norm_cfg)

        def down(i: int, o: int, steps: int) -> nn.Module:
            return separable_down(i, o, steps, norm_cfg=self.norm_cfg, last_relu=True)

        return Transition(in_channels, out_channels, down=down, same=same)

    def make_down(self, in_channels: int, out_channels: int, steps: int) -> nn.Module:
        return separable_down(
            in_channels, out_channels, steps, norm_cfg=self.norm_cfg, last_relu=False
        )

    def freezable(self) -> list[list[nn.Module]]:
        return [[self.stem], *map(list, zip(self.transitions, self.stages))]

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Images, (N, in_channels, H, W), to stream 0, (N, out_channels[0], h, w).

        ``h`` is H / 4, rounded up where it is no whole number.
        """
        streams = super().forward(x)
        return (self.head_layer(streams) if self.with_head else streams[0],)


class Stem(ShuffleBlock[Tensor]):
    """Strided convolution, then a shuffle block of stride 2 that convolves both halves.

    Args:
        in_channels: channels of the image.
        stem_channels: channels between the two, even.
        out_channels: channels of the output, even: ``stem_channels`` or more.
        expand_ratio: how many times the second half widens ``stem_channels`` inside.
        norm_cfg: norm layers, as in MMCV.
        with_cp: save memory in training by computing the stem again in the backward pass.

    Raises:
        ValueError: the widths do not fit.
    """

    def __init__(
        self,
        in_channels: int,
        stem_channels: int,
        out_channels: int,
        expand_ratio: float,
        *,
        norm_cfg: NormCfg,
        with_cp: bool = False,
    ) -> None:
        super().__init__(with_cp)
        if stem_channels % 2 or out_channels % 2 or out_channels < stem_channels:
            raise ValueError(
                f'stem_channels={stem_channels}, out_channels={out_channels}; expected even '
                'numbers, the second at least the first'
            )
        half = stem_channels // 2
        expanded = round(stem_channels * expand_ratio)
        second = half if out_channels == stem_channels else stem_channels
        self.conv1 = named_conv(
            in_channels, stem_channels, 3, stride=2, norm_cfg=norm_cfg, activate=nn.ReLU(True)
        )
        self.branch1 = nn.Sequential(
            depthwise(half, stride=2, norm_cfg=norm_cfg),
            pointwise(half, out_channels - second, norm_cfg=norm_cfg),
        )
        self.expand_conv = pointwise(half, expanded, norm_cfg=norm_cfg)
        self.depthwise_conv = depthwise(expanded, stride=2, norm_cfg=norm_cfg)
        self.linear_conv = pointwise(expanded, second, norm_cfg=norm_cfg)

    def shuffle(self, x: Tensor) -> Tensor:
        x1, x2 = self.conv1(x).chunk(2, dim=1)
        x2 = self.linear_conv(self.depthwise_conv(self.expand_conv(x2)))
        return interleave(self.branch1(x1), x2)


class Branches(nn.ModuleList):
    """Each stream goes through its own branch."""

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        return [branch(x) for branch, x in zip(self, streams)]


class IterativeHead(nn.Module):
    """Each stream is added to the one above it, from the lowest resolution up to stream 0.

    Args:
        channels: channels of each stream, high to low resolution.
        norm_cfg: norm layers, as in MMCV.
    """

    def __init__(self, channels: Sequence[int], *, norm_cfg: NormCfg) -> None:
        super().__init__()
        self.projects = nn.ModuleList(
            nn.Sequential(
                OrderedDict(
                    depthwise_conv=depthwise(i, norm_cfg=norm_cfg),
                    pointwise_conv=pointwise(i, o, norm_cfg=norm_cfg),
                )
            )
            for i, o in pairwise([*reversed(channels), channels[0]])
        )

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """All streams to one, with the width and size of stream 0."""
        first, *others = self.projects
        *higher, lowest = streams
        x = first(lowest)
        for project, stream in zip(others, reversed(higher)):
            size = stream.shape[-2:]
            x = stream + F.interpolate(x, size=size, mode='bilinear', align_corners=True)
            x = project(x)
        return x


def read_extra(extra: Mapping[str, Any]) -> list[LiteStage]:
    """Read the stages of a stock ``extra`` and check all of it.

    Raises:
        ValueError: a key or a kind of module is unknown or missing, or numbers do not fit.
    """
    check_keys('extra', extra, required=('stem', 'num_stages', 'stages_spec', 'with_head'))
    stem, spec = extra['stem'], extra['stages_spec']
    check_keys('extra.stem', stem, required=('stem_channels', 'out_channels', 'expand_ratio'))
    check_keys('extra.stages_spec', spec, required=STAGE_KEYS)
    counted = dict(spec, num_stages=extra['num_stages'])
    check_lengths('extra.stages_spec', counted, STAGE_KEYS, of='num_stages')
    rows = zip(*(spec[key] for key in STAGE_KEYS))
    names = [f'stage {i} of extra.stages_spec' for i in range(extra['num_stages'])]
    stages = [read_stage(name, dict(zip(STAGE_KEYS, row))) for name, row in zip(names, rows)]
    channels = [(stem['out_channels'],), *(stage.channels for stage in stages)]
    for name, (before, after) in zip(names, pairwise(channels)):
        check_new_streams(before, after, name)
    return stages


def read_stage(where: str, cfg: Mapping[str, Any]) -> LiteStage:
    """Read one stage: what ``stages_spec`` says of it."""
    check_lengths(where, cfg, ['num_channels'], of='num_branches')
    channels, kind = tuple(cfg['num_channels']), cfg['module_type'].upper()
    if kind not in MODULE_TYPES:
        raise ValueError(unknown_name(f'module_type in {where}', cfg['module_type'], MODULE_TYPES))
    if any(c % 2 for c in channels):
        raise ValueError(f'{where}: num_channels={channels}; expected even numbers, to halve them')
    return LiteStage(
        modules=cfg['num_modules'],
        channels=channels,
        blocks=cfg['num_blocks'],
        kind=kind,
        ratio=cfg['reduce_ratios'],
        fuse=cfg['with_fuse'],
    )
