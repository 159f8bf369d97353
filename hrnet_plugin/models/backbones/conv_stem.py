"""What HRNet and HRFormer share: the stem, stage 1, and the frame of stages 2 to 4."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from mmcv.cnn import build_norm_layer
from torch import nn

from ..archs import BlockStage
from ..layers import BasicBlock, Bottleneck, Branches, Exchange, Transition, conv_down, conv_norm
from ..layers.conv_norm import NormCfg
from ..layers.exchange import MakePath
from ..layers.residual import ResidualBlock
from .base import Modules, build_stages, in_pairs

STEM_CHANNELS = 64
RESIDUAL_BLOCKS: dict[str, type[ResidualBlock]] = {'BASIC': BasicBlock, 'BOTTLENECK': Bottleneck}

B = TypeVar('B', bound=BlockStage)


def build_conv_stem(
    in_channels: int, stage1: BlockStage, *, norm_cfg: NormCfg, with_cp: bool
) -> Modules:
    """Build two strided convolutions and stage 1."""
    modules: Modules = {}
    for i, channels in enumerate((in_channels, STEM_CHANNELS), start=1):
        modules[f'conv{i}'] = nn.Conv2d(channels, STEM_CHANNELS, 3, 2, 1, bias=False)
        name, norm = build_norm_layer(norm_cfg, STEM_CHANNELS, postfix=i)
        modules[name] = norm
        modules[f'relu{i}'] = nn.ReLU(inplace=True)
    modules['layer1'] = build_residual_blocks(
        stage1, 0, STEM_CHANNELS, norm_cfg=norm_cfg, with_cp=with_cp
    )
    return modules


def build_residual_blocks(
    stage: BlockStage, stream: int, in_channels: int, *, norm_cfg: NormCfg, with_cp: bool
) -> nn.Sequential:
    """Build the blocks of one stream in one module of a stage."""
    widths = [in_channels] + [stage.channels[stream]] * stage.blocks[stream]
    block = RESIDUAL_BLOCKS[stage.block]
    return nn.Sequential(
        *(block(i, o, norm_cfg=norm_cfg, with_cp=with_cp) for i, o in pairwise(widths))
    )


def build_conv_stages(
    in_channels: int,
    stages: Sequence[B],
    outputs: int,
    *,
    branch: Callable[[B, int, int], nn.Module],
    down: MakePath,
    upsample: Mapping[str, Any],
    norm_cfg: NormCfg,
) -> Modules:
    """Build stages 2 to 4 and their transitions.

    Args:
        in_channels: Channels of stage 1's output.
        stages: Stages 2 to 4.
        outputs: Number of streams that stage 4 returns.
        branch: Function that builds the branch of a stream from the stage, the number of the
            module in it, and the number of the stream.
        down: Function that builds the exchange path to a lower resolution.
        upsample: ``mode`` and ``align_corners`` of the exchange; nearest with ``align_corners`` is
            nearest by whole factors, then bilinear to what is left.
        norm_cfg: Norm layers, as in MMCV.
    """

    # HRFormer's official segmentation code resizes twice, which differs from once where 32 does
    # not divide the image.
    twice = upsample['mode'] == 'nearest' and upsample.get('align_corners') is not None
    resize = dict(upsample, mode='bilinear') if twice else upsample

    def up(i: int, o: int, steps: int) -> nn.Module:
        path = conv_norm(i, o, 1, norm_cfg=norm_cfg, relu=False)
        return path.append(nn.Upsample(scale_factor=2**steps)) if twice else path

    def module(stage: B, number: int, streams: int) -> nn.Module:
        branches = Branches(branch(stage, number, i) for i in range(len(stage.channels)))
        exchange = Exchange(
            stage.channels,
            streams,
            down=down,
            up=up,
            upsample=resize,
        )
        return nn.Sequential(OrderedDict(branches=branches, fuse_layers=exchange))

    transition = partial(
        Transition,
        down=partial(conv_down, norm_cfg=norm_cfg, last_relu=True),
        same=lambda i, o: conv_norm(i, o, 3, norm_cfg=norm_cfg),
    )
    return build_stages(
        in_channels,
        stages,
        outputs,
        transition=transition,
        module=module,
        first_transition=1,
        first_stage=2,
    )


def conv_freezable(stem: Modules, stages: Modules) -> list[Sequence[str]]:
    """List what ``frozen_stages`` freezes: the stem's convolutions, then stages 1 to 4.

    As in stock, a stage is frozen together with the transition behind it.
    """
    *convolutions, layer1 = stem
    return [convolutions, *in_pairs([layer1, *stages])]
