"""Any published checkpoint to the names of MMPose 1.x, which HRNet, LiteHRNet, HRFormer and
HeatmapHead have.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from ..utils.errors import unknown_name
from ..version import __version__
from .files import check_target, read_checkpoint, write_checkpoint
from .layouts import PositionBias, State, apply_layout, count, find_layout
from .recognise import Model, recognise

# Where checkpoints keep weights, from what is wanted most. Averaged weights come first: it is with
# them that training validates, and that results are published.
AVERAGED = ('state_dict_ema', 'model_ema', 'ema', 'ema_state_dict')
PLAIN = ('state_dict', 'model_state_dict', 'model', 'module', 'best_state_dict')
# What wrappers of models put before all names
PREFIXES = ('module.', '_orig_mod.', 'model.')
DEEPEST = 4  # dicts within dicts, round the weights
COUNTERS = ('steps', 'n_averaged')  # of wrappers that average, beside what they wrap


@dataclass(frozen=True)
class Conversion:
    """A converted checkpoint.

    Attributes:
        state_dict: tensors under the names of MMPose 1.x, in the types they had; those that only
            change their name share memory with the checkpoint.
        layout: what the checkpoint was recognised as.
        model: the model that it holds.
        notes: what was chosen, changed or dropped, and why; one line each.
    """

    state_dict: State
    layout: str
    model: Model
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return f'{self.layout}: {self.model}, {len(self.state_dict)} tensors'


def convert_state_dict(
    checkpoint: Mapping[str, Any],
    *,
    num_keypoints: int | None = None,
    position_bias: PositionBias | None = None,
) -> State:
    """Convert a loaded checkpoint of any known layout; warn of what is changed or dropped.

    Arguments and errors are those of :func:`convert_checkpoint`.

    Returns:
        Tensors that load with ``strict=True``: names begin with ``backbone.`` and ``head.``.
    """
    conversion = convert_checkpoint(
        checkpoint, num_keypoints=num_keypoints, position_bias=position_bias
    )
    for note in conversion.notes:
        warnings.warn(note, stacklevel=2)
    return conversion.state_dict


def convert_file(
    source: str | Path,
    target: str | Path,
    *,
    num_keypoints: int | None = None,
    position_bias: PositionBias | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Convert a file; ``target`` may be ``source`` if it may be overwritten.

    ``target`` becomes ``dict(state_dict=…, meta=…)`` of tensors and plain types, which loads
    anywhere. A ``dataset_meta`` of ``source`` stays if it is of as many keypoints.

    Raises:
        ValueError: as in :func:`convert_checkpoint`; or ``source`` is damaged or unsafe; or
            ``target`` exists already.
        OSError: ``source`` cannot be read, or ``target`` cannot be written.
    """
    check_target(target, overwrite)
    checkpoint = read_checkpoint(source)
    try:
        conversion = convert_checkpoint(
            checkpoint, num_keypoints=num_keypoints, position_bias=position_bias
        )
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from error
    meta: dict[str, Any] = dict(
        converted_by=f'hrnet_plugin {__version__}',
        converted_from=conversion.layout,
        model=str(conversion.model),
        notes=list(conversion.notes),
    )
    if dataset_meta := find_dataset_meta(checkpoint, conversion.model.keypoints):
        meta['dataset_meta'] = dataset_meta
    write_checkpoint(target, dict(meta=meta, state_dict=conversion.state_dict))
    return conversion


def convert_checkpoint(
    checkpoint: Mapping[str, Any],
    *,
    num_keypoints: int | None = None,
    position_bias: PositionBias | None = None,
) -> Conversion:
    """Convert a loaded checkpoint of any layout in :data:`.layouts.LAYOUTS`.

    Args:
        checkpoint: a state dict, or what training wrote round it. Averaged weights are taken if
            there are any. It is left as it was.
        num_keypoints: start the final layer afresh if it has another number of keypoints.
        position_bias: what becomes of HRFormer's tables of position biases: ``keep``; ``zero``,
            which adds nothing to attention until trained; ``drop``, for backbones with
            ``with_rpe=False``. None keeps them, but zeroes those of official pose models, whose
            code has them without adding them.

    Raises:
        ValueError: the layout is not known, or a name is not, or there is no final layer that
            could start afresh.
    """
    if position_bias is not None and position_bias not in get_args(PositionBias):
        raise ValueError(unknown_name('position_bias', position_bias, get_args(PositionBias)))
    state, notes = unwrap(checkpoint)
    if not state:
        raise ValueError('the checkpoint holds no weights')
    layout = find_layout(state)
    state, dropped = apply_layout(state, layout)
    notes += dropped
    state, note = set_position_bias(state, position_bias or layout.position_bias)
    if note and position_bias is None:
        note = [f'{note[0]}: the official pose code has them without adding them']
    notes += note
    if num_keypoints is not None:
        state, note = set_keypoints(state, num_keypoints)
        notes += note
    model = recognise(state)
    return Conversion(state, layout.title, model, (*notes, *hints(model)))


def unwrap(checkpoint: Any) -> tuple[State, list[str]]:
    """Find the weights in what training wrote.

    Returns:
        A state dict without the prefixes of wrappers, and a line if there were several.
    """
    notes: list[str] = []
    for _ in range(DEEPEST):
        if not isinstance(checkpoint, Mapping):
            raise ValueError(f'a checkpoint is a dict; this is a {type(checkpoint).__name__}')
        # Other entries may have such a name too: official HRNet writes model='pose_hrnet'.
        found = [key for key in (*AVERAGED, *PLAIN) if has_weights(checkpoint.get(key))]
        if not found:
            return strip(checkpoint), notes
        averaged = found[0] in AVERAGED
        if is_mmengines(checkpoint):
            found = ['state_dict', *(key for key in found if key != 'state_dict')]
        if len(found) > 1:
            notes.append(
                f'took {found[0]!r}{", the averaged weights," if averaged else ""} and left '
                f'{", ".join(map(repr, found[1:]))}'
            )
        checkpoint = checkpoint[found[0]]
    raise ValueError(f'the checkpoint is nested more than {DEEPEST} deep, or holds itself')


def is_mmengines(checkpoint: Mapping[str, Any]) -> bool:
    """Whether MMEngine's EMAHook wrote a checkpoint.

    It swaps the two on saving: 'state_dict' has the averaged weights, and 'ema_state_dict', known
    by a counter of steps, those that are being trained.
    """
    ema = checkpoint.get('ema_state_dict')
    averaged = has_weights(checkpoint.get('state_dict'))
    return averaged and isinstance(ema, Mapping) and 'steps' in ema


def has_weights(value: object, depth: int = DEEPEST) -> bool:
    """Whether there is a state dict in what a checkpoint has under one of the known names."""
    if not isinstance(value, Mapping) or depth == 0:
        return False
    if any(isinstance(v, Tensor) for v in value.values()):
        return True
    return any(has_weights(value.get(key), depth - 1) for key in (*AVERAGED, *PLAIN))


def strip(state: Mapping[str, Any]) -> State:
    """Leave out what wrappers put before all names, however often."""
    state = {str(name): tensor for name, tensor in state.items()}
    while True:
        names = [name for name in state if name not in COUNTERS]
        prefix = next((p for p in PREFIXES if all(n.startswith(p) for n in names)), None)
        if prefix is None or not names:
            return dict(state)
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def set_position_bias(state: State, choice: PositionBias) -> tuple[State, list[str]]:
    """Keep, zero or drop the tables of position biases, and the indices into them."""
    tables = [name for name in state if name.endswith('.relative_position_bias_table')]
    if not tables or choice == 'keep':
        return state, []
    what = f'the position biases ({count(tables)})'
    if choice == 'zero':
        zeros = {name: torch.zeros_like(state[name]) for name in tables}
        return state | zeros, [f'zeroed {what}']
    left = {name: tensor for name, tensor in state.items() if '.relative_position_' not in name}
    return left, [f'dropped {what} and the indices into them']


def set_keypoints(state: State, num_keypoints: int) -> tuple[State, list[str]]:
    """Start the final layer afresh if it has another number of keypoints."""
    if num_keypoints < 1:
        raise ValueError(f'num_keypoints is {num_keypoints}; expected 1 or more')
    weight = state.get('head.final_layer.weight')
    if weight is None:
        raise ValueError(
            f'num_keypoints={num_keypoints}, but the checkpoint has no final layer: leave it out'
        )
    if weight.ndim != 4:
        raise ValueError(
            f'head.final_layer.weight has shape {tuple(weight.shape)}; expected that of a '
            'convolution, (keypoints, channels, height, width)'
        )
    if len(weight) == num_keypoints:
        return state, []
    # The initialisation of the published code, the same at each conversion
    generator = torch.Generator().manual_seed(0)
    fresh = torch.randn(num_keypoints, *weight.shape[1:], generator=generator) * 0.001
    changed = {'head.final_layer.weight': fresh.to(weight.dtype)}
    if 'head.final_layer.bias' in state:
        changed['head.final_layer.bias'] = weight.new_zeros(num_keypoints)
    note = f'the final layer starts afresh: {num_keypoints} keypoints instead of {len(weight)}'
    return state | changed, [note]


def hints(model: Model) -> list[str]:
    """What somebody has to know who loads a converted checkpoint."""
    lines = []
    if model.nearly:
        lines.append(f'no published architecture, or a damaged one: {model.nearly}')
    if model.has_position_bias is False:
        lines.append('no tables of position biases: build the backbone with with_rpe=False')
    if model.all_streams:
        lines.append(
            'the last exchange puts out four streams: build the backbone with '
            'multiscale_output=True, or else loading leaves out the rows of three of them'
        )
    if not model.has_head:
        lines.append(
            'no head: load it as init_cfg of the backbone, '
            "dict(type='Pretrained', checkpoint=FILE, prefix='backbone')"
        )
    return lines


def find_dataset_meta(checkpoint: Mapping[str, Any], keypoints: int | None) -> Any:
    """What MMPose 1.x wrote about the keypoints, from which its inferencers draw; None if nothing.

    Args:
        checkpoint: what training wrote.
        keypoints: how many there are now.
    """
    meta = checkpoint.get('meta')
    dataset_meta = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    if not isinstance(dataset_meta, Mapping):
        return None
    named = dataset_meta.get('num_keypoints')
    is_number = isinstance(named, (int, np.integer, type(None)))
    return plain(dataset_meta) if is_number and named == keypoints else None


def plain(value: Any) -> Any:
    """Arrays and NumPy's numbers as lists and numbers, also inside."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {plain(key): plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    return value
