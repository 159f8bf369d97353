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
