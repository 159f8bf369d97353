"""Initialise a backbone with the weights of any published model: ``type='Pretrained'``."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.logging import print_log
from mmengine.model import update_init_info
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor
from torch.nn import functional as F

from ..registry import WEIGHT_INITIALIZERS, strict_options
from .convert import META, convert_checkpoint, unwrap
from .files import read_checkpoint
from .published import COUNTER
from .recognise import BIAS_TABLE, POSITION_BIAS, last_rows
from .tasks import Task
from .tensors import State
from .wording import count, listed

if TYPE_CHECKING:
    from ..models.backbones.base import ParallelStreamBackbone

BACKBONE = 'backbone.'
CHANGES = ('dropped', 'took', 'zeroed')  # of the notes on a conversion, those that are not advice


@WEIGHT_INITIALIZERS.register_module(name='Pretrained')
@strict_options
class PretrainedBackbone:
    """Load a backbone from a checkpoint of any task and layout, or refuse it.

    Backbones of this plugin use it for ``init_cfg=dict(type='Pretrained', …)``, in the place of
    MMEngine's initialiser. What is left out of the checkpoint, such as its head, is logged in one
    line; tensors that the backbone has and the checkpoint lacks are an error.

    A backbone with another ``upsample`` than the weights were trained with is refused, but for
    ImageNet's weights: published segmentation models start from them and change it.

    Args:
        checkpoint: Path or URL of the checkpoint.
        prefix: What the names of the backbone begin with in the checkpoint, if it is part of
            something else than a model of OpenMMLab.
        map_location: Accepted, as MMEngine does; weights are read to the CPU and copied.
        check_upsample: Whether to refuse weights that were trained with another ``upsample``.

    Raises:
        OSError: In use: the checkpoint cannot be read.
        ValueError: In use: it is damaged, or does not fit the backbone.
    """

    def __init__(
        self,
        checkpoint: str,
        prefix: str | None = None,
        map_location: Any = 'cpu',
        check_upsample: bool = True,
    ) -> None:
        self.checkpoint = str(checkpoint)
        self.prefix = prefix
        self.check_upsample = check_upsample

    def __call__(self, module: 'ParallelStreamBackbone') -> None:
        """Load the weights into a backbone."""
        try:
            notes = self.load(module)
        except ValueError as error:
            raise ValueError(f'{self.checkpoint}: {error}') from error
        line = f'initialised {type(module).__name__} from {self.checkpoint}: {"; ".join(notes)}'
        print_log(line, logger='current', level=logging.INFO)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=f'{type(self).__name__}: {self.checkpoint}')

    def load(self, module: 'ParallelStreamBackbone') -> list[str]:
        """Load the weights into a backbone; return what they are, and notes on what is left out.

        Raises:
            OSError: The checkpoint cannot be read.
            ValueError: It does not fit the backbone.
        """
        own = module.state_dict()
        source = self.read(own)
        if self.check_upsample and source.task != 'classification':
            try:
                module.check_trained_upsample(source.upsample)
            except ValueError as error:
                raise ValueError(
                    f'{error}, or check_upsample=False of init_cfg to start from them anyway'
                ) from error
        state, notes = adapt(source.state, own)
        if differences := compare(state, own):
            raise ValueError(
                f'does not fit the backbone (it is {source.title}): {count(differences)}: '
                f'{listed(differences, 3)}'
            )
        module.load_state_dict(state, strict=False)
        return [source.title, *source.notes, *notes]

    def read(self, own: State) -> 'Source':
        """Read the checkpoint.

        Args:
            own: Tensors of the backbone to load.

        Raises:
            OSError: The checkpoint cannot be read.
            ValueError: It is damaged, or has nothing that could be a backbone.
        """
        if '://' in self.checkpoint:
            checkpoint = CheckpointLoader.load_checkpoint(self.checkpoint, map_location='cpu')
        else:
            checkpoint = read_checkpoint(Path(self.checkpoint).expanduser())
        prefix = f'{self.prefix.rstrip(".")}.' if self.prefix else BACKBONE
        state, record, _ = unwrap(checkpoint)
        if prefix != BACKBONE:
            state = below(state, prefix)
            if not state:
                raise ValueError(f'no name begins with prefix={self.prefix!r}')
            checkpoint = dict(state_dict=state, meta={META: record})
        try:
            conversion = convert_checkpoint(checkpoint)
        except ValueError:
            state = below(state, BACKBONE)
            if not set(required(own)) <= state.keys():
                raise
            return Source(state, 'a model with an unknown head', [], **record)
        return Source(
            state=below(conversion.state_dict, BACKBONE),
            title=str(conversion),
            notes=[note for note in conversion.notes if note.startswith(CHANGES)],
            task=conversion.task,
            upsample=conversion.upsample,
        )


@dataclass(frozen=True)
class Source:
    """The backbone in a checkpoint.

    Attributes:
        state: Tensors by OpenMMLab's names, without a prefix.
        title: What the checkpoint is.
        notes: What was left out or changed.
        task: The task that it was trained for; None if unknown.
        upsample: What it was trained with; None if unknown.
    """

    state: State
    title: str
    notes: list[str]
    task: Task | None = None
    upsample: Mapping[str, Any] | None = None


def below(state: State, prefix: str) -> State:
    """Return the tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def adapt(state: State, own: State) -> tuple[State, list[str]]:
    """Leave out what a backbone does not compute, and resize tables of position biases.

    Args:
        state: Tensors of the checkpoint.
        own: Tensors of the backbone.

    Returns:
        The tensors to load, and a note for each change.
    """
    notes = []
    out = dict(state)
    unread = [name for name in last_rows_of(state) if name not in own]
    unread += [name for name in state if POSITION_BIAS.fullmatch(name) and name not in own]
    if unread:
        out = {name: tensor for name, tensor in out.items() if name not in set(unread)}
        notes.append(f'left out {count(unread)} that this backbone has no use for')
    fresh = last_rows_of(own)
    if fresh and not last_rows_of(state):
        out |= {name: own[name] for name in fresh}
        notes.append(
            f'left {count(fresh)} as initialised: rows of the last exchange for streams 1-3'
        )
    resized = []
    for name, tensor in state.items():
        if name.endswith(BIAS_TABLE) and name in own and len(tensor) != len(own[name]):
            out[name] = resize_table(tensor, len(own[name]))
            resized.append(name)
            index = name.replace(BIAS_TABLE, 'relative_position_index')
            out[index] = own[index]
    if resized:
        notes.append(f'resized {count(resized)} of position biases to the windows of the backbone')
    return out, notes


def last_rows_of(state: State) -> list[str]:
    """List the rows of the last exchange for streams 1 to 3 among a backbone's names."""
    names = last_rows({f'{BACKBONE}{name}': None for name in state})
    return [name.removeprefix(BACKBONE) for name in names]


def resize_table(table: Tensor, rows: int) -> Tensor:
    """Resize a table of position biases, (offsets, heads), to windows of another size.

    As Swin Transformer does to fine-tune with larger windows: bicubically, as a map of offsets.
    """
    old, new = math.isqrt(len(table)), math.isqrt(rows)
    maps = table.T.reshape(1, -1, old, old).float()
    maps = F.interpolate(maps, size=(new, new), mode='bicubic', align_corners=False)
    return maps.reshape(-1, rows).T.to(table.dtype)


def compare(state: State, own: State) -> list[str]:
    """Describe each difference from the names and shapes of a backbone's tensors."""
    return (
        [f'{name} is missing' for name in required(own) if name not in state]
        + [f'{name} is not part of it' for name in state if name not in own]
        + [
            f'{name} is {tuple(tensor.shape)} instead of {tuple(own[name].shape)}'
            for name, tensor in state.items()
            if name in own and tensor.shape != own[name].shape
        ]
    )


def required(own: State) -> list[str]:
    """List the names of a backbone's tensors but counters, which loading fills in."""
    return [name for name in own if not COUNTER.fullmatch(name)]
