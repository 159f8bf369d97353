"""The published architectures: one row each, from which everything else about them is derived.

A row has a ``spec``, which lists each stage with its channels and blocks: a backbone is built from
it. :mod:`hrnet_plugin.models.extra` reads the same from the ``extra`` of a stock config.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

Size = tuple[int, int]  # height, width
STEM_STRIDE = 4  # of stream 0, in pixels of the image; stream i has 4 * 2**i
# Output channels of a block, as a multiple of the ``num_channels`` of stock configs
EXPANSION = {'BASIC': 1, 'BOTTLENECK': 4, 'HRFORMERBLOCK': 1}

N = TypeVar('N', int, float)


def doubled(first: N, streams: int) -> tuple[N, ...]:
    """Return one number for each stream, each twice the one before.

    >>> doubled(32, 4)
    (32, 64, 128, 256)
    """
    return tuple(first * 2**i for i in range(streams))


@dataclass(frozen=True)
class Stage:
    """A stage of parallel streams; tuples have one entry for each stream, high to low resolution.

    Attributes:
        modules: Number of modules, each of which ends in an exchange between streams.
        channels: Channels of each stream.
    """

    modules: int
    channels: tuple[int, ...]


@dataclass(frozen=True)
class BlockStage(Stage):
    """A stage whose streams have blocks of their own.

    Attributes:
        blocks: Number of blocks of each stream in one module.
        block: Name of the block in stock configs, a key of :data:`EXPANSION`.
    """

    blocks: tuple[int, ...]
    block: str

    @property
    def extra(self) -> dict[str, Any]:
        """The stage as stock configs write it."""
        return dict(
            num_modules=self.modules,
            num_branches=len(self.channels),
            block=self.block,
            num_blocks=self.blocks,
            num_channels=tuple(c // EXPANSION[self.block] for c in self.channels),
        )


@dataclass(frozen=True)
class TransformerStage(BlockStage):
    """A stage of transformer blocks.

    Attributes:
        heads: Number of attention heads of each stream.
        windows: Height and width, in tokens, of the attention windows of each stream.
        mlp_ratios: Channels inside the FFN of each stream, as a multiple of those outside.
    """

    heads: tuple[int, ...]
    windows: tuple[Size, ...]
    mlp_ratios: tuple[float, ...]

    @property
    def extra(self) -> dict[str, Any]:
        return super().extra | dict(
            num_heads=self.heads,
            window_sizes=tuple(h if h == w else (h, w) for h, w in self.windows),
            mlp_ratios=self.mlp_ratios,
        )


@dataclass(frozen=True)
class HRNetSpec:
    """All that the layers of an HRNet are built from.

    Attributes:
        stage1: The stage of one stream.
        stages: Stages 2 to 4, each with more streams than the one before.
        upsample: ``mode`` and ``align_corners`` of the exchange between streams; see
            :class:`~hrnet_plugin.models.HRNet`.
        multiscale_output: Whether stage 4 returns all streams instead of stream 0 only.
    """

    stage1: BlockStage
    stages: tuple[BlockStage, ...]
    upsample: Mapping[str, Any] = field(default_factory=lambda: dict(mode='nearest'))
    multiscale_output: bool = False

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of the streams that stage 4 returns."""
        channels = self.stages[-1].channels
        return channels if self.multiscale_output else channels[:1]


@dataclass(frozen=True)
class HRNetArch:
    """One row of HRNet's table: https://arxiv.org/abs/1908.07919, section 3 and appendix B.

    Attributes:
        width: Channels of stream 0, the high-resolution stream; stream ``i`` has ``width * 2**i``.
        modules: Number of exchange modules in stages 2, 3 and 4.
        blocks: Number of residual blocks of each stream in a module.
        layer1: Channels inside the bottlenecks of stage 1, and their number.
    """

    width: int
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4
    layer1: tuple[int, int] = (64, 4)

    @property
    def spec(self) -> HRNetSpec:
        """Everything that is built, stage by stage."""
        return HRNetSpec(
            stage1=_bottlenecks(*self.layer1),
            stages=tuple(
                BlockStage(
                    modules=modules,
                    channels=doubled(self.width, streams),
                    blocks=(self.blocks,) * streams,
                    block='BASIC',
                )
                for streams, modules in zip((2, 3, 4), self.modules)
            ),
        )

    @property
    def extra(self) -> dict[str, Any]:
        """The architecture as stock configs write it: ``extra=dict(stage1=…)``."""
        return _stages_extra(self.spec)


HRNET_ARCHS = {
    'w18': HRNetArch(width=18),
    'w30': HRNetArch(width=30),
    'w32': HRNetArch(width=32),
    'w40': HRNetArch(width=40),
    'w44': HRNetArch(width=44),
    'w48': HRNetArch(width=48),
    'w64': HRNetArch(width=64),
    # Published under this name, with a width of 16
    'w18-small-v1': HRNetArch(width=16, modules=(1, 1, 1), blocks=2, layer1=(32, 1)),
    'w18-small-v2': HRNetArch(width=18, modules=(1, 3, 2), blocks=2, layer1=(64, 2)),
}


@dataclass(frozen=True)
class HRFormerSpec(HRNetSpec):
    """All that the layers of an HRFormer are built from.

    Attributes:
        stages: Stages 2 to 4, of :class:`TransformerStage`.
        drop_path_rate: Probability to drop a residual path of the last block in training; it rises
            from 0 at the first block of stage 2.
        with_rpe: Whether attention adds the relative position bias.
        with_pad_mask: Whether attention ignores the padding of windows.

    Raises:
        ValueError: ``drop_path_rate`` is no probability below 1.
    """

    stages: tuple[TransformerStage, ...]
    upsample: Mapping[str, Any] = field(
        default_factory=lambda: dict(mode='bilinear', align_corners=False)
    )
    drop_path_rate: float = 0.0
    with_rpe: bool = True
    with_pad_mask: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.drop_path_rate < 1:
            raise ValueError(
                f'drop_path_rate={self.drop_path_rate}; expected from 0 (none) to below 1'
            )


@dataclass(frozen=True)
class HRFormerArch:
    """One row of HRFormer's table: https://arxiv.org/abs/2110.09408, table 1.

    Attributes:
        width: Channels of stream 0; stream ``i`` has ``width * 2**i``.
        heads: Attention heads of stream 0; stream ``i`` has ``heads * 2**i``.
        drop_path_rate: Probability to drop a residual path of the last block in training.
        modules: Number of exchange modules in stages 2, 3 and 4.
    """

    width: int
    heads: int
    drop_path_rate: float
    modules: tuple[int, int, int] = (1, 4, 2)

    @property
    def spec(self) -> HRFormerSpec:
        """Everything that is built, stage by stage."""
        return HRFormerSpec(
            stage1=_bottlenecks(64, 2),
            stages=tuple(
                TransformerStage(
                    modules=modules,
                    channels=doubled(self.width, streams),
                    blocks=(2,) * streams,
                    block='HRFORMERBLOCK',
                    heads=doubled(self.heads, streams),
                    windows=((7, 7),) * streams,
                    mlp_ratios=(4,) * streams,
                )
                for streams, modules in zip((2, 3, 4), self.modules)
            ),
            drop_path_rate=self.drop_path_rate,
        )

    @property
    def extra(self) -> dict[str, Any]:
        """The architecture as stock configs write it: ``extra=dict(stage1=…)``."""
        return dict(drop_path_rate=self.drop_path_rate, **_stages_extra(self.spec))


HRFORMER_ARCHS = {
    'tiny': HRFormerArch(width=18, heads=1, drop_path_rate=0.0, modules=(1, 3, 2)),
    'small': HRFormerArch(width=32, heads=1, drop_path_rate=0.1),
    'base': HRFormerArch(width=78, heads=2, drop_path_rate=0.2),
}


@dataclass(frozen=True)
class LiteStage(Stage):
    """A stage of modules whose blocks read all streams.

    Attributes:
        blocks: Number of blocks in one module.
        kind: ``LITE`` (conditional channel weighting) or ``NAIVE`` (shuffle units).
        ratio: Factor by which cross-resolution weighting reduces channels.
        fuse: Whether streams exchange behind the blocks.
    """

    blocks: int
    kind: str
    ratio: float
    fuse: bool


@dataclass(frozen=True)
class LiteStem:
    """The stem of a Lite-HRNet.

    Attributes:
        stem_channels: Channels behind its first convolution.
        out_channels: Channels of its output.
        expand_ratio: Factor by which its second branch widens ``stem_channels`` inside.
    """

    stem_channels: int = 32
    out_channels: int = 32
    expand_ratio: float = 1


@dataclass(frozen=True)
class LiteHRNetSpec:
    """All that the layers of a Lite-HRNet are built from.

    Attributes:
        stem: The stem.
        stages: All stages, each with more streams than the one before.
        with_head: Whether the iterative head follows the last stage.
        multiscale_output: Whether to return all streams instead of stream 0 only.
    """

    stem: LiteStem
    stages: tuple[LiteStage, ...]
    with_head: bool = True
    multiscale_output: bool = False

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of the streams that are returned."""
        channels = self.stages[-1].channels
        if self.with_head:  # each of its outputs has the width of the next higher stream
            channels = (channels[0], *channels[:-1])
        return channels if self.multiscale_output else channels[:1]


@dataclass(frozen=True)
class LiteHRNetArch:
    """One row of Lite-HRNet's tables: https://arxiv.org/abs/2104.06403, tables 1 and 2.

    Attributes:
        width: Channels of stream 0; stream ``i`` has ``width * 2**i``.
        modules: Number of modules in stages 0, 1 and 2, which have 2, 3 and 4 streams.
        kind: ``LITE`` (conditional channel weighting) or ``NAIVE`` (shuffle units).
    """

    width: int
    modules: tuple[int, int, int]
    kind: str

    @property
    def spec(self) -> LiteHRNetSpec:
        """Everything that is built, stage by stage."""
        return LiteHRNetSpec(
            stem=LiteStem(),
            stages=tuple(
                LiteStage(
                    modules=modules,
                    channels=doubled(self.width, streams),
                    blocks=2,
                    kind=self.kind,
                    ratio=8,
                    fuse=True,
                )
                for streams, modules in zip((2, 3, 4), self.modules)
            ),
        )

    @property
    def extra(self) -> dict[str, Any]:
        """The architecture as stock configs write it: ``extra=dict(stem=…)``."""
        spec = self.spec
        return dict(
            stem=vars(spec.stem).copy(),
            num_stages=len(spec.stages),
            stages_spec=dict(
                num_modules=tuple(stage.modules for stage in spec.stages),
                num_branches=tuple(len(stage.channels) for stage in spec.stages),
                num_blocks=tuple(stage.blocks for stage in spec.stages),
                module_type=tuple(stage.kind for stage in spec.stages),
                with_fuse=tuple(stage.fuse for stage in spec.stages),
                reduce_ratios=tuple(stage.ratio for stage in spec.stages),
                num_channels=tuple(stage.channels for stage in spec.stages),
            ),
            with_head=spec.with_head,
        )


LITEHRNET_ARCHS = {
    'lite-18': LiteHRNetArch(width=40, modules=(2, 4, 2), kind='LITE'),
    'lite-30': LiteHRNetArch(width=40, modules=(3, 8, 3), kind='LITE'),
    'naive-18': LiteHRNetArch(width=30, modules=(2, 4, 2), kind='NAIVE'),
    'wider-naive-18': LiteHRNetArch(width=40, modules=(2, 4, 2), kind='NAIVE'),
}


def _bottlenecks(channels: int, blocks: int) -> BlockStage:
    """Stage 1 of HRNet and HRFormer: bottlenecks with ``channels`` inside."""
    return BlockStage(
        modules=1,
        channels=(channels * EXPANSION['BOTTLENECK'],),
        blocks=(blocks,),
        block='BOTTLENECK',
    )


def _stages_extra(spec: HRNetSpec) -> dict[str, Any]:
    """Stages as stock configs write them."""
    stages = (spec.stage1, *spec.stages)
    return {f'stage{i}': stage.extra for i, stage in enumerate(stages, start=1)}
