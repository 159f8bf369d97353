"""The skeleton of all backbones: a stem, then stages of parallel streams.

A backbone builds its layers from the ``spec`` of an architecture and passes them on by the names
that they have in state dicts; running, freezing and initialising them is the same for all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mmengine.model import BaseModule, constant_init, initialize
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..archs import STEM_STRIDE, Stage, doubled
from ..extra import upsample_text
from ..layers import Transition
from ..layers.initialisation import InitCfg
from ..layers.residual import ResidualBlock

S = TypeVar('S', bound=Stage)
Modules = dict[str, nn.Module]  # by their names in state dicts, in the order in which they run


class ParallelStreamBackbone(BaseModule):
    """Stem -> stages of parallel streams.

    Args:
        stem: Modules that take images, (N, in_channels, H, W), to stream 0 at a quarter of the
            size, one after the other.
        stages: Modules that take a list of streams to another: transitions and stages.
        freezable: Names of the modules that each number of ``frozen_stages`` adds, from 0.
        out_channels: Channels of the output streams, high to low resolution.
        norm_eval: Whether batch norms keep their statistics in training.
        frozen_stages: The last row of ``freezable`` to freeze; -1 freezes none.
        init_cfg: Initialisation of the weights, as in MMEngine.
        zero_init_residual: Whether residual blocks start as the identity.

    Attributes:
        out_channels: Channels of the output streams, high to low resolution.
        out_strides: Stride of each output stream, in input pixels.
        upsample: Upsampling of the exchange; None for a family that has no choice. State dicts
            record it in their ``_metadata``, and those with another one are refused.

    Raises:
        ValueError: ``frozen_stages`` is out of range.
    """

    init_cfg: InitCfg
    upsample: Mapping[str, Any] | None = None

    def __init__(
        self,
        stem: Modules,
        stages: Modules,
        *,
        freezable: Sequence[Sequence[str]],
        out_channels: Sequence[int],
        norm_eval: bool,
        frozen_stages: int,
        init_cfg: InitCfg,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__(init_cfg)
        for name, module in [*stem.items(), *stages.items()]:
            self.add_module(name, module)
        self._stem, self._stages = tuple(stem), tuple(stages)
        self._freezable = freezable
        self.out_channels = tuple(out_channels)
        self.out_strides = doubled(STEM_STRIDE, len(out_channels))
        self.norm_eval = norm_eval
        self.frozen_stages = frozen_stages
        self.zero_init_residual = zero_init_residual
        self.freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the output streams.

        Args:
            x: Images, (N, in_channels, H, W).

        Returns:
            Streams, each (N, out_channels[i], H / out_strides[i], W / out_strides[i]), rounded up.
        """
        for name in self._stem:
            x = getattr(self, name)(x)
        streams = [x]
        for name in self._stages:
            streams = getattr(self, name)(streams)
        return tuple(streams)

    def freeze(self) -> None:
        """Freeze the first stages, as ``frozen_stages`` says: no gradient, fixed statistics.

        Raises:
            ValueError: ``frozen_stages`` is out of range.
        """
        last = len(self._freezable) - 1
        if not -1 <= self.frozen_stages <= last:
            raise ValueError(
                f'frozen_stages={self.frozen_stages}; expected -1 (none) to {last} (all)'
            )
        for names in self._freezable[: self.frozen_stages + 1]:
            for name in names:
                getattr(self, name).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'ParallelStreamBackbone':
        """Set training or evaluation mode, but keep frozen what is to stay so."""
        super().train(mode)
        self.freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def init_weights(self) -> None:
        """Initialise the weights as ``init_cfg`` says.

        ``type='Pretrained'`` is read by :class:`hrnet_plugin.checkpoints.PretrainedBackbone`.
        """
        first_time = not self.is_init
        cfgs = self.init_cfg if isinstance(self.init_cfg, list) else [self.init_cfg or {}]
        pretrained = [cfg for cfg in cfgs if cfg.get('type') == 'Pretrained']
        given, self.init_cfg = self.init_cfg, [c for c in cfgs if c and c not in pretrained]
        try:
            super().init_weights()
        finally:
            self.init_cfg = given
        if first_time:
            if self.zero_init_residual:
                for module in self.modules():
                    if isinstance(module, ResidualBlock):
                        constant_init(module.last_norm, 0)
            initialize(self, [cfg | dict(type='hrnet_plugin.Pretrained') for cfg in pretrained])

    def check_trained_upsample(self, trained: Mapping[str, Any] | None) -> None:
        """Raise a ValueError if weights need another ``upsample`` than the backbone has.

        Args:
            trained: What the weights were trained with; None if unknown. Without
                ``align_corners``, only the mode is compared.
        """
        if trained is None or self.upsample is None:
            return
        own = complete(self.upsample)
        if any(own.get(name) != value for name, value in trained.items()):
            raise ValueError(
                f'these weights were trained with {upsample_text(trained)}, but '
                f'{type(self).__name__} has {upsample_text(own)}, with which they compute other '
                f'features: set {upsample_text(trained)} of the backbone'
            )

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        record = getattr(destination, '_metadata', {}).get(prefix[:-1])
        if record is not None and self.upsample is not None:
            record['upsample'] = complete(self.upsample)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        self.check_trained_upsample(local_metadata.get('upsample'))
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def complete(upsample: Mapping[str, Any]) -> dict[str, Any]:
    """Return an ``upsample`` with the default of ``align_corners``, and without None.

    >>> complete({'mode': 'bilinear'}), complete({'mode': 'nearest', 'align_corners': None})
    ({'mode': 'bilinear', 'align_corners': False}, {'mode': 'nearest'})
    """
    given = {name: value for name, value in upsample.items() if value is not None}
    return (
        given
        if given['mode'] == 'nearest'
        else dict(mode=given['mode'], align_corners=False) | given
    )


def in_pairs(names: Sequence[str]) -> list[Sequence[str]]:
    """Return names two by two, and the last one by itself where their number is odd."""
    return [names[i : i + 2] for i in range(0, len(names), 2)]


def build_stages(
    in_channels: int,
    stages: Sequence[S],
    outputs: int,
    *,
    transition: Callable[[Sequence[int], Sequence[int]], Transition],
    module: Callable[[S, int, int], nn.Module],
    first_transition: int,
    first_stage: int,
) -> Modules:
    """Build all stages, each behind the transition that opens its new streams.

    Args:
        in_channels: Channels of the one stream that comes in.
        stages: Stages in order.
        outputs: Number of streams that the last stage returns, from the highest resolution down.
        transition: Function that builds a transition from the channels of its streams, before and
            after.
        module: Function that builds a module of a stage from the stage, the number of the module
            in it, and the number of streams to return.
        first_transition: Number of the first transition in state dicts.
        first_stage: Number of the first stage in state dicts.
    """
    modules: Modules = {}
    channels: Sequence[int] = (in_channels,)
    for i, stage in enumerate(stages):
        modules[f'transition{first_transition + i}'] = transition(channels, stage.channels)
        channels = stage.channels
        returned = [len(channels)] * stage.modules
        if i == len(stages) - 1:
            returned[-1] = outputs
        modules[f'stage{first_stage + i}'] = nn.Sequential(
            *(module(stage, number, streams) for number, streams in enumerate(returned))
        )
    return modules
