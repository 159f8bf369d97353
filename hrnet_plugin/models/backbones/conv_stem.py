"""What HRNet and HRFormer have in common: stem, stage 1, transitions, and how stages are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from mmengine.model import constant_init
from torch import Tensor, nn

from ...utils.errors import unknown_name
from ..layers import BasicBlock, Bottleneck, Transition, conv_norm
from ..layers.conv_norm import NormCfg, add_norm
from ..layers.residual import ResidualBlock
from .base import InitCfg, ParallelStreamBackbone, Stage, StreamModule
from .extra import Arch, check_keys, check_lengths, check_new_streams, choose_extra

STEM_CHANNELS = 64
RESIDUAL_BLOCKS: dict[str, type[ResidualBlock]] = {'BASIC': BasicBlock, 'BOTTLENECK': Bottleneck}
STAGE_KEYS = ('num_modules', 'num_branches', 'block', 'num_blocks', 'num_channels')


@dataclass(frozen=True)
class BlockStage(Stage):
    """A stage whose streams each have blocks of their own.

    Attributes:
        block: name of the block.
        blocks: blocks of each stream in one module, high to low resolution.
    """

    block: str
    blocks: tuple[int, ...]


class ConvStemBackbone(ParallelStreamBackbone[BlockStage]):
    """Two strided convolutions -> stage 1 of residual blocks -> stages 2 to 4 of a subclass.

    A subclass sets its own options, then calls :meth:`build`. Arguments are those of
    :class:`hrnet_plugin.HRNet`.
    """

    first_transition = 1
    first_stage = 2
    archs: ClassVar[Mapping[str, Arch]]
    default_upsample: ClassVar[dict[str, Any]]
    extra_options: ClassVar[tuple[str, ...]] = ()  # in ``extra``, beside stages and upsampling
    unread_in_stage1: ClassVar[tuple[str, ...]] = ()  # stock configs have them to no effect

    def __init__(
        self,
        *,
        norm_cfg: NormCfg,
        norm_eval: bool,
        frozen_stages: int,
        with_cp: bool,
        zero_init_residual: bool,
        init_cfg: InitCfg,
    ) -> None:
        super().__init__(
            norm_cfg=norm_cfg, norm_eval=norm_eval, frozen_stages=frozen_stages, init_cfg=init_cfg
        )
        self.with_cp = with_cp
        self.zero_init_residual = zero_init_residual

    def build(
        self,
        arch: str | None,
        extra: Mapping[str, Any] | None,
        in_channels: int,
        multiscale_output: bool,
        **options: Any,
    ) -> None:
        """Build all layers; ``options`` that are not None replace those of ``extra``.

        Raises:
            ValueError: a name or a length in ``arch`` or ``extra`` is wrong.
        """
        extra = choose_extra(type(self).__name__, self.archs, arch, extra)
        extra = {**extra, **{k: v for k, v in options.items() if v is not None}}
        stage1, *stages = self.read_extra(extra)
        self.upsample = extra.get('upsample', self.default_upsample)

        self.conv1 = nn.Conv2d(in_channels, STEM_CHANNELS, 3, 2, 1, bias=False)
        self.norm1_name = add_norm(self, self.norm_cfg, STEM_CHANNELS, 1)
        self.conv2 = nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, 2, 1, bias=False)
        self.norm2_name = add_norm(self, self.norm_cfg, STEM_CHANNELS, 2)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = self.make_residual_blocks(stage1, 0, in_channels=STEM_CHANNELS)

        multiscale_output |= extra['stage4'].get('multiscale_output', False)
        self.add_stages(
            stage1.channels[0], stages, len(stages[-1].channels) if multiscale_output else 1
        )

    def read_extra(self, extra: Mapping[str, Any]) -> list[BlockStage]:
        """Read the four stages of a stock ``extra``.

        Raises:
            ValueError: a key or a block is unknown or missing, or numbers do not fit.
        """
        names = [f'stage{i}' for i in (1, 2, 3, 4)]
        check_keys('extra', extra, required=names, optional=['upsample', *self.extra_options])
        check_keys('extra.upsample', extra.get('upsample', {}), optional=('mode', 'align_corners'))
        first = read_block_stage(
            'extra.stage1', extra['stage1'], RESIDUAL_BLOCKS, unread=self.unread_in_stage1
        )
        if extra['stage1']['num_modules'] != 1 or extra['stage1']['num_branches'] != 1:
            raise ValueError(
                'extra.stage1 has one module of one branch: both numbers have to be 1'
            )
        stages = [first, *(self.read_stage(f'extra.{name}', extra[name]) for name in names[1:])]
        for name, (before, stage) in zip(names[1:], pairwise(stages)):
            check_new_streams(before.channels, stage.channels, f'extra.{name}')
        return stages

    def read_stage(self, where: str, cfg: Mapping[str, Any]) -> BlockStage:
        """Read one of the stages 2 to 4."""
        return read_block_stage(where, cfg, RESIDUAL_BLOCKS)

    def forward_stem(self, x: Tensor) -> Tensor:
        x = self.relu(getattr(self, self.norm1_name)(self.conv1(x)))
        x = self.relu(getattr(self, self.norm2_name)(self.conv2(x)))
        return self.layer1(x)

    def make_module(self, stage: BlockStage, number: int, outputs: int) -> StreamModule:
        branches = [self.make_branch(stage, number, i) for i in range(len(stage.channels))]
        return StreamModule(branches, self.make_exchange(stage.channels, outputs))

    def make_branch(self, stage: BlockStage, module: int, stream: int) -> nn.Sequential:
        """The blocks of one stream in module ``module`` of a stage."""
        return self.make_residual_blocks(stage, stream, in_channels=stage.channels[stream])

    def make_residual_blocks(
        self, stage: BlockStage, stream: int, in_channels: int
    ) -> nn.Sequential:
        """Convolutional blocks of one stream."""
        out_channels = stage.channels[stream]
        widths = [in_channels] + [out_channels] * stage.blocks[stream]
        return nn.Sequential(
            *(
                RESIDUAL_BLOCKS[stage.block](i, o, norm_cfg=self.norm_cfg, with_cp=self.with_cp)
                for i, o in pairwise(widths)
            )
        )

    def make_transition(
        self, in_channels: Sequence[int], out_channels: Sequence[int]
    ) -> Transition:
        def same(i: int, o: int, _: int) -> nn.Module:
            return conv_norm(i, o, 3, norm_cfg=self.norm_cfg)

        return Transition(in_channels, out_channels, down=self.make_strided, same=same)

    def make_strided(
        self, in_channels: int, out_channels: int, steps: int, last_relu: bool = True
    ) -> nn.Sequential:
        """``steps`` convolutions of stride 2, the last of which changes the width."""
        return nn.Sequential(
            *(
                conv_norm(in_channels, in_channels, 3, stride=2, norm_cfg=self.norm_cfg)
                for _ in range(steps - 1)
            ),
            conv_norm(
                in_channels, out_channels, 3, stride=2, norm_cfg=self.norm_cfg, relu=last_relu
            ),
        )

    def freezable(self) -> list[list[nn.Module]]:
        stem = [
            self.conv1,
            getattr(self, self.norm1_name),
            self.conv2,
            getattr(self, self.norm2_name),
        ]
        # As in stock, a stage is held together with the transition behind it.
        stages = [self.layer1, *self.stages]
        transitions = [[t] for t in self.transitions] + [[]]
        return [stem] + [[stage, *after] for stage, after in zip(stages, transitions)]

    def init_weights(self) -> None:
        super().init_weights()
        pretrained = isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained'
        if self.zero_init_residual and not pretrained:
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    constant_init(module.last_norm, 0)


def read_block_stage(
    where: str,
    cfg: Mapping[str, Any],
    blocks: Mapping[str, Any],
    stream_keys: Sequence[str] = (),
    unread: Sequence[str] = (),
) -> BlockStage:
    """Read one stage of a stock ``extra``.

    Args:
        where: how an error names the stage.
        cfg: the stage.
        blocks: the blocks that it can have; each has an ``expansion``.
        stream_keys: further keys with one entry for each stream.
        unread: keys that it may have to no effect.
    """
    optional = ['multiscale_output'] if where == 'extra.stage4' else unread
    check_keys(where, cfg, required=[*STAGE_KEYS, *stream_keys], optional=optional)
    if cfg['block'] not in blocks:
        raise ValueError(unknown_name(f'{where}.block', cfg['block'], blocks))
    check_lengths(where, cfg, ['num_blocks', 'num_channels', *stream_keys], of='num_branches')
    expansion = blocks[cfg['block']].expansion
    return BlockStage(
        modules=cfg['num_modules'],
        channels=tuple(c * expansion for c in cfg['num_channels']),
        block=cfg['block'],
        blocks=tuple(cfg['num_blocks']),
    )
