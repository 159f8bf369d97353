"""The skeleton that HRNet, Lite-HRNet and HRFormer share: a stem, then stages of parallel streams.

A backbone says what its stem, its branches and its paths between streams are made of; all else,
from the order of the modules to frozen stages, is here.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..layers import Exchange, Transition, conv_norm
from ..layers.conv_norm import NormCfg
from ..layers.initialisation import NORMAL as NORMAL

InitCfg = dict[str, Any] | list[dict[str, Any]] | None

BN = dict(type='BN')


@dataclass(frozen=True)
class Stage:
    """A stage of parallel streams; a backbone adds what its blocks need.

    Attributes:
        modules: how many times branches and exchange follow each other.
        channels: channels of each stream, high to low resolution.
    """

    modules: int
    channels: tuple[int, ...]


S = TypeVar('S', bound=Stage)


class StreamModule(nn.Module):
    """Each stream goes through its own branch; then all exchange."""

    def __init__(self, branches: Sequence[nn.Module], exchange: Exchange) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.fuse_layers = exchange

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        streams = [branch(x) for branch, x in zip(self.branches, streams)]
        return self.fuse_layers(streams)


class ParallelStreamBackbone(BaseModule, Generic[S]):
    """Stem -> stages of parallel streams.

    A subclass builds its stem and calls :meth:`add_stages`.

    Args:
        norm_cfg: norm layers, as in MMCV.
        norm_eval: hold the statistics of batch norms in training.
        frozen_stages: the last of :meth:`freezable` to hold in training; -1 holds none.
        init_cfg: how weights are initialised, as in MMEngine.

    Attributes:
        out_channels: channels of the output streams, high to low resolution.
        out_strides: input pixels, along one axis, to a pixel of each output stream.
    """

    stem_stride = 4
    first_transition: int  # number of the first transition in state-dict names
    first_stage: int  # number of the first stage in state-dict names
    upsample: dict[str, Any]  # how exchange resizes, as torch.nn.functional.interpolate names it

    def __init__(
        self, *, norm_cfg: NormCfg, norm_eval: bool, frozen_stages: int, init_cfg: InitCfg
    ) -> None:
        super().__init__(init_cfg)
        self.norm_cfg = norm_cfg
        self.norm_eval = norm_eval
        self.frozen_stages = frozen_stages

    @abstractmethod
    def forward_stem(self, x: Tensor) -> Tensor:
        """Images, (N, in_channels, H, W), to stream 0 at a quarter of the size."""

    @abstractmethod
    def make_module(self, stage: S, number: int, outputs: int) -> nn.Module:
        """Module ``number`` of a stage, with ``outputs`` streams coming out."""

    @abstractmethod
    def make_transition(
        self, in_channels: Sequence[int], out_channels: Sequence[int]
    ) -> Transition:
        """What opens the new streams of a stage."""

    @abstractmethod
    def make_down(self, in_channels: int, out_channels: int, steps: int) -> nn.Module:
        """The exchange path to a stream ``steps`` halvings lower."""

    def make_up(self, in_channels: int, out_channels: int, steps: int) -> nn.Module:
        """The exchange path to a stream ``steps`` doublings higher, without the resizing."""
        return conv_norm(in_channels, out_channels, 1, norm_cfg=self.norm_cfg, relu=False)

    def make_exchange(
        self, channels: Sequence[int], outputs: int, kind: type[Exchange] = Exchange
    ) -> Exchange:
        """The exchange behind the branches of a module."""
        return kind(
            channels, outputs, down=self.make_down, up=self.make_up, upsample=self.upsample
        )

    @abstractmethod
    def freezable(self) -> list[list[nn.Module]]:
        """What ``frozen_stages`` holds: number i holds the first i + 1 rows."""

    def add_stages(self, stem_channels: int, stages: Sequence[S], outputs: int) -> None:
        """Build all transitions and stages, then freeze what ``frozen_stages`` says.

        Args:
            stem_channels: channels that the stem puts out.
            stages: the stages in order.
            outputs: streams that the last stage puts out, from the highest resolution down.
        """
        self.num_stages = len(stages)
        channels: Sequence[int] = (stem_channels,)
        for i, stage in enumerate(stages):
            transition = self.make_transition(channels, stage.channels)
            self.add_module(f'transition{self.first_transition + i}', transition)
            channels = stage.channels
            rows = [len(channels)] * stage.modules
            if stage is stages[-1]:
                rows[-1] = outputs
            modules = [self.make_module(stage, number, n) for number, n in enumerate(rows)]
            self.add_module(f'stage{self.first_stage + i}', nn.Sequential(*modules))
        self.out_channels = tuple(channels[:outputs])
        self.out_strides = tuple(self.stem_stride * 2**i for i in range(outputs))
        self.freeze()

    @property
    def transitions(self) -> list[nn.Module]:
        first = self.first_transition
        return [getattr(self, f'transition{first + i}') for i in range(self.num_stages)]

    @property
    def stages(self) -> list[nn.Module]:
        first = self.first_stage
        return [getattr(self, f'stage{first + i}') for i in range(self.num_stages)]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images, (N, in_channels, H, W), to streams, each (N, out_channels[i], h_i, w_i).

        ``h_i`` is H / out_strides[i], rounded up where it is no whole number.
        """
        streams = [self.forward_stem(x)]
        for transition, stage in zip(self.transitions, self.stages):
            streams = stage(transition(streams))
        return tuple(streams)

    def freeze(self) -> None:
        """Hold the first stages as ``frozen_stages`` says: no gradient, fixed statistics.

        Raises:
            ValueError: there is no such stage.
        """
        rows = self.freezable()
        if not -1 <= self.frozen_stages < len(rows):
            raise ValueError(
                f'frozen_stages={self.frozen_stages}; expected -1 (none) to {len(rows) - 1} (all)'
            )
        for row in rows[: self.frozen_stages + 1]:
            for module in row:
                module.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'ParallelStreamBackbone':
        super().train(mode)
        self.freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
