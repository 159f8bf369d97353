"""HRNet: Wang et al., https://arxiv.org/abs/1908.07919, with the names of stock MMPose."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from mmengine.model import constant_init
from torch import Tensor, nn

from ...archs import HRNET_ARCHS
from ...errors import unknown_name
from ...registry import MODELS
from ..layers import BasicBlock, Bottleneck, Transition, conv_norm
from ..layers.conv_norm import NormCfg, add_norm
from ..layers.residual import ResidualBlock
from .base import InitCfg, ParallelStreamBackbone, Stage

STEM_CHANNELS = 64
BLOCKS: dict[str, type[ResidualBlock]] = {'BASIC': BasicBlock, 'BOTTLENECK': Bottleneck}
NEAREST = dict(mode='nearest', align_corners=None)
BN = dict(type='BN')
# The initialisation of the published code
NORMAL = [
    dict(type='Normal', std=0.001, layer=['Conv2d']),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]


@MODELS.register_module()
class HRNet(ParallelStreamBackbone):
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

    first_transition = 1
    first_stage = 2

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
        super().__init__(norm_eval, frozen_stages, init_cfg)
        extra = choose_extra(arch, extra)
        stage1, *stages = read_extra(extra)
        self.upsample = extra.get('upsample', NEAREST)
        self.norm_cfg = norm_cfg
        self.with_cp = with_cp
        self.zero_init_residual = zero_init_residual

        self.conv1 = nn.Conv2d(in_channels, STEM_CHANNELS, 3, 2, 1, bias=False)
        self.norm1_name = add_norm(self, norm_cfg, STEM_CHANNELS, 1)
        self.conv2 = nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, 2, 1, bias=False)
        self.norm2_name = add_norm(self, norm_cfg, STEM_CHANNELS, 2)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = self.make_blocks(stage1, 0, in_channels=STEM_CHANNELS)

        multiscale_output |= extra['stage4'].get('multiscale_output', False)
        self.add_stages(
            stage1.channels[0], stages, len(stages[-1].channels) if multiscale_output else 1
        )

    def forward_stem(self, x: Tensor) -> Tensor:
        x = self.relu(getattr(self, self.norm1_name)(self.conv1(x)))
        x = self.relu(getattr(self, self.norm2_name)(self.conv2(x)))
        return self.layer1(x)

    def make_branch(self, stage: Stage, stream: int) -> nn.Sequential:
        return self.make_blocks(stage, stream, in_channels=stage.channels[stream])

    def make_blocks(self, stage: Stage, stream: int, in_channels: int) -> nn.Sequential:
        """The residual blocks of one stream."""
        out_channels = stage.channels[stream]
        widths = [in_channels] + [out_channels] * stage.blocks[stream]
        return nn.Sequential(
            *(
                BLOCKS[stage.block](i, o, norm_cfg=self.norm_cfg, with_cp=self.with_cp)
                for i, o in pairwise(widths)
            )
        )

    def make_transition(
        self, in_channels: Sequence[int], out_channels: Sequence[int]
    ) -> Transition:
        def same(i: int, o: int, _: int) -> nn.Module:
            return conv_norm(i, o, 3, norm_cfg=self.norm_cfg)

        return Transition(in_channels, out_channels, down=self.make_strided, same=same)

    def make_down(self, in_channels: int, out_channels: int, steps: int) -> nn.Sequential:
        return self.make_strided(in_channels, out_channels, steps, last_relu=False)

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

    def make_up(self, in_channels: int, out_channels: int, steps: int) -> nn.Sequential:
        return conv_norm(in_channels, out_channels, 1, norm_cfg=self.norm_cfg, relu=False)

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


def choose_extra(arch: str | None, extra: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The ``extra`` of a published architecture, or the one given."""
    if arch is None and extra is not None:
        return extra
    if arch is None or extra is not None:
        raise ValueError('HRNet takes either arch=NAME or extra=dict(stage1=…)')
    if arch not in HRNET_ARCHS:
        raise ValueError(unknown_name('arch of HRNet', arch, HRNET_ARCHS))
    return HRNET_ARCHS[arch].extra


STAGE_KEYS = ('num_modules', 'num_branches', 'block', 'num_blocks', 'num_channels')


def read_extra(extra: Mapping[str, Any]) -> list[Stage]:
    """Read the four stages of a stock ``extra``.

    Raises:
        ValueError: a key or a block is unknown or missing, or numbers do not fit.
    """
    names = [f'stage{i}' for i in (1, 2, 3, 4)]
    check_keys('extra', extra, required=names, optional=['upsample'])
    check_keys('extra.upsample', extra.get('upsample', {}), optional=list(NEAREST))
    stages = [read_stage(name, extra[name]) for name in names]
    if extra['stage1']['num_modules'] != 1 or extra['stage1']['num_branches'] != 1:
        raise ValueError('extra.stage1 has one module of one branch: both numbers have to be 1')
    for i, (before, stage) in enumerate(pairwise(stages), 2):
        if len(stage.channels) <= len(before.channels):
            raise ValueError(
                f'extra.stage{i} has num_branches={len(stage.channels)}; expected more than the '
                f'{len(before.channels)} of the stage before it'
            )
    return stages


def read_stage(name: str, cfg: Mapping[str, Any]) -> Stage:
    """Read one stage of a stock ``extra``."""
    optional = ['multiscale_output'] if name == 'stage4' else []
    check_keys(f'extra.{name}', cfg, required=STAGE_KEYS, optional=optional)
    if cfg['block'] not in BLOCKS:
        raise ValueError(unknown_name(f'extra.{name}.block', cfg['block'], BLOCKS))
    for key in ('num_blocks', 'num_channels'):
        if len(cfg[key]) != cfg['num_branches']:
            raise ValueError(
                f'extra.{name}: {key}={tuple(cfg[key])} has {len(cfg[key])} entries; '
                f'expected one for each of num_branches={cfg["num_branches"]}'
            )
    expansion = BLOCKS[cfg['block']].expansion
    return Stage(
        modules=cfg['num_modules'],
        block=cfg['block'],
        blocks=tuple(cfg['num_blocks']),
        channels=tuple(c * expansion for c in cfg['num_channels']),
    )


def check_keys(
    where: str,
    cfg: Mapping[str, Any],
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> None:
    """Raise a ValueError if ``cfg`` lacks a required key or has one that is neither."""
    for key in cfg:
        if key not in required and key not in optional:
            raise ValueError(unknown_name(f'option in {where}', key, [*required, *optional]))
    for key in required:
        if key not in cfg:
            raise ValueError(f'{where} lacks {key!r}; expected {", ".join(required)}')
