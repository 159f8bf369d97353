"""The published architectures, one row each; everything else about them is derived."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HRNetArch:
    """One row of HRNet's table: https://arxiv.org/abs/1908.07919, section 3 and appendix B.

    Attributes:
        width: channels of stream 0, the high-resolution stream; stream ``i`` has ``width * 2**i``.
        modules: exchange modules in stages 2, 3 and 4.
        blocks: residual blocks of each stream in a module.
        layer1: channels inside, and number, of the bottlenecks of stage 1.
    """

    width: int
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4
    layer1: tuple[int, int] = (64, 4)

    @property
    def extra(self) -> dict[str, Any]:
        """The same architecture as stock configs write it: ``extra=dict(stage1=…)``."""
        channels, blocks = self.layer1
        stage1 = dict(
            num_modules=1,
            num_branches=1,
            block='BOTTLENECK',
            num_blocks=(blocks,),
            num_channels=(channels,),
        )
        return dict(stage1=stage1) | {
            f'stage{streams}': dict(
                num_modules=modules,
                num_branches=streams,
                block='BASIC',
                num_blocks=(self.blocks,) * streams,
                num_channels=tuple(self.width * 2**i for i in range(streams)),
            )
            for streams, modules in zip((2, 3, 4), self.modules)
        }


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
class LiteHRNetArch:
    """One row of Lite-HRNet's tables: https://arxiv.org/abs/2104.06403, tables 1 and 2.

    Attributes:
        width: channels of stream 0; stream ``i`` has ``width * 2**i``.
        modules: modules in stages 0, 1 and 2, which have 2, 3 and 4 streams.
        kind: ``LITE`` (conditional channel weighting) or ``NAIVE`` (shuffle units).
    """

    width: int
    modules: tuple[int, int, int]
    kind: str

    @property
    def extra(self) -> dict[str, Any]:
        """The same architecture as stock configs write it: ``extra=dict(stem=…)``."""
        streams = (2, 3, 4)
        return dict(
            stem=dict(stem_channels=32, out_channels=32, expand_ratio=1),
            num_stages=3,
            stages_spec=dict(
                num_modules=self.modules,
                num_branches=streams,
                num_blocks=(2, 2, 2),
                module_type=(self.kind,) * 3,
                with_fuse=(True,) * 3,
                reduce_ratios=(8,) * 3,
                num_channels=tuple(tuple(self.width * 2**i for i in range(n)) for n in streams),
            ),
            with_head=True,
        )


LITEHRNET_ARCHS = {
    'lite-18': LiteHRNetArch(width=40, modules=(2, 4, 2), kind='LITE'),
    'lite-30': LiteHRNetArch(width=40, modules=(3, 8, 3), kind='LITE'),
    'naive-18': LiteHRNetArch(width=30, modules=(2, 4, 2), kind='NAIVE'),
    'wider-naive-18': LiteHRNetArch(width=40, modules=(2, 4, 2), kind='NAIVE'),
}


@dataclass(frozen=True)
class HRFormerArch:
    """One row of HRFormer's table: https://arxiv.org/abs/2110.09408, table 1.

    Attributes:
        width: channels of stream 0; stream ``i`` has ``width * 2**i``.
        heads: attention heads of stream 0; stream ``i`` has ``heads * 2**i``.
        drop_path_rate: chance to drop the deepest block in training.
        modules: exchange modules in stages 2, 3 and 4.
    """

    width: int
    heads: int
    drop_path_rate: float
    modules: tuple[int, int, int] = (1, 4, 2)

    @property
    def extra(self) -> dict[str, Any]:
        """The same architecture as stock configs write it: ``extra=dict(stage1=…)``."""
        stage1 = dict(
            num_modules=1,
            num_branches=1,
            block='BOTTLENECK',
            num_blocks=(2,),
            num_channels=(64,),
        )
        return dict(drop_path_rate=self.drop_path_rate, stage1=stage1) | {
            f'stage{streams}': dict(
                num_modules=modules,
                num_branches=streams,
                block='HRFORMERBLOCK',
                num_blocks=(2,) * streams,
                num_channels=tuple(self.width * 2**i for i in range(streams)),
                num_heads=tuple(self.heads * 2**i for i in range(streams)),
                window_sizes=(7,) * streams,
                mlp_ratios=(4,) * streams,
            )
            for streams, modules in zip((2, 3, 4), self.modules)
        }


HRFORMER_ARCHS = {
    'tiny': HRFormerArch(width=18, heads=1, drop_path_rate=0.0, modules=(1, 3, 2)),
    'small': HRFormerArch(width=32, heads=1, drop_path_rate=0.1),
    'base': HRFormerArch(width=78, heads=2, drop_path_rate=0.2),
}
