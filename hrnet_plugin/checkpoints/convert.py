"""Convert published checkpoints to the names of MMPose 1.x and of other packages of OpenMMLab."""

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from ..models.extra import check_upsample, upsample_text
from ..models.families import FAMILIES
from ..utils.errors import unknown_name
from ..version import __version__
from .files import check_target, read_checkpoint, write_checkpoint
from .layouts import Layout, PositionBias, find_layout
from .recognise import Model, recognise
from .renaming import rename_tensors
from .tasks import TASKS, Task
from .tensors import State
from .wording import count

# Keys under which checkpoints keep weights, in order of preference: published results are those of
# averaged weights.
AVERAGED = ('state_dict_ema', 'model_ema', 'ema', 'ema_state_dict')
PLAIN = ('state_dict', 'model_state_dict', 'model', 'module', 'best_state_dict')
# Prefixes that wrappers of models add to all names
PREFIXES = ('module.', '_orig_mod.', 'model.')
MAX_DEPTH = 4  # of dicts that enclose the weights
COUNTERS = ('steps', 'n_averaged')  # without these prefixes, in wrappers that average weights
LOSS = 'loss.'  # beside the model in official segmentation's wrapper, which adds ``model.``
META = 'hrnet_plugin'  # key in ``meta`` of converted files: dict(task=…, upsample=…)
Upsample = Mapping[str, Any]


@dataclass(frozen=True)
class Conversion:
    """A converted checkpoint.

    Attributes:
        state_dict: Tensors by the names of OpenMMLab, in their original types; those that are
            only renamed share memory with the checkpoint. Its ``_metadata``, which loading reads,
            has the ``upsample``, but for the backbone alone of a classifier.
        layout: Title of the layout that the checkpoint has.
        model: The model that the tensors are of.
        notes: One line for each choice, change and omission, with its reason.
        task: The task that the checkpoint was trained for; None for an unknown one.
        upsample: What the backbone was trained with, and needs to compute the same; without
            ``align_corners`` where that is unknown. None: unknown, or the family has no choice.
    """

    state_dict: State
    layout: str
    model: Model
    notes: tuple[str, ...]
    task: Task | None = None
    upsample: Upsample | None = None

    def __str__(self) -> str:
        return f'{self.layout}: {self.model}, {len(self.state_dict)} tensors'


def convert_state_dict(
    checkpoint: Mapping[str, Any],
    *,
    task: Task = 'pose',
    num_keypoints: int | None = None,
    position_bias: PositionBias | None = None,
    align_corners: bool | None = None,
) -> State:
    """Convert a loaded checkpoint of any known layout; warn of changed and dropped tensors.

    Args:
        checkpoint: A state dict or a training checkpoint, as in :func:`convert_checkpoint`.
        task: Task to convert for.
        num_keypoints: Number of keypoints for which to re-initialise the final layer.
        position_bias: What becomes of HRFormer's tables of position biases.
        align_corners: How official segmentation weights upsample.

    Returns:
        Tensors that load with ``strict=True``; their names begin with ``backbone.``, and ``head.``
        or what the task's package of OpenMMLab has. Loading refuses a backbone with another
        ``upsample`` than the weights need.

    Raises:
        ValueError: As in :func:`convert_checkpoint`.
    """
    conversion = convert_checkpoint(
        checkpoint,
        task=task,
        num_keypoints=num_keypoints,
        position_bias=position_bias,
        align_corners=align_corners,
    )
    for note in conversion.notes:
        warnings.warn(note, stacklevel=2)
    return conversion.state_dict


def convert_file(
    source: str | Path,
    target: str | Path,
    *,
    task: Task = 'pose',
    num_keypoints: int | None = None,
    position_bias: PositionBias | None = None,
    align_corners: bool | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Convert a checkpoint file.

    The result is ``dict(state_dict=…, meta=…)`` of tensors and plain types, which loads anywhere.
    The ``dataset_meta`` of the source is kept if it has as many keypoints.
    ``meta['hrnet_plugin']`` has the ``task`` and the ``upsample`` of the conversion.

    Args:
        source: File to read.
        target: File to write; may be ``source`` with ``overwrite=True``.
        task: Task to convert for, as in :func:`convert_checkpoint`.
        num_keypoints: Number of keypoints for which to re-initialise the final layer.
        position_bias: What becomes of HRFormer's tables of position biases, as in
            :func:`convert_checkpoint`.
        align_corners: How official segmentation weights upsample, as there.
        overwrite: Whether to replace an existing ``target``.

    Returns:
        The conversion, with the layout, the model and the notes.

    Raises:
        ValueError: As in :func:`convert_checkpoint`; or ``source`` is corrupt or unsafe, or
            ``target`` exists.
        OSError: ``source`` cannot be read, or ``target`` cannot be written.
    """
    check_target(target, overwrite)
    checkpoint = read_checkpoint(source)
    try:
        conversion = convert_checkpoint(
            checkpoint,
            task=task,
            num_keypoints=num_keypoints,
            position_bias=position_bias,
            align_corners=align_corners,
        )
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from error
    meta: dict[str, Any] = dict(
        converted_by=f'hrnet_plugin {__version__}',
        converted_from=conversion.layout,
        model=str(conversion.model),
        notes=list(conversion.notes),
    )
    if conversion.task:
        upsample = None if conversion.upsample is None else dict(conversion.upsample)
        meta[META] = dict(task=conversion.task, upsample=upsample)
    if dataset_meta := find_dataset_meta(checkpoint, conversion.model.keypoints):
        meta['dataset_meta'] = dataset_meta
    write_checkpoint(target, dict(meta=meta, state_dict=conversion.state_dict))
    return conversion


def convert_checkpoint(
    checkpoint: Mapping[str, Any],
    *,
    task: Task = 'pose',
    num_keypoints: int | None = None,
    position_bias: PositionBias | None = None,
    align_corners: bool | None = None,
) -> Conversion:
    """Convert a loaded checkpoint of any layout in ``LAYOUTS``.

    Args:
        checkpoint: A state dict or a training checkpoint that contains one; averaged weights are
            preferred. It is not changed.
        task: Task to convert for: names become those of MMPose, MMSegmentation, MMDetection or
            MMPretrain. ``'pose'`` also takes models of the other tasks, and keeps their backbone,
            from which a pose model can start.
        num_keypoints: Number of keypoints for which to re-initialise the final layer, if it has
            another number; None keeps the layer.
        position_bias: What becomes of HRFormer's tables of position biases: ``'keep'``;
            ``'zero'``, which adds nothing to attention until trained; ``'drop'``, for backbones
            with ``with_rpe=False``. None keeps them, but zeroes those of official pose models,
            whose code does not add them.
        align_corners: How official segmentation weights of HRNet without OCR upsample, which their
            names do not tell: True for the branch ``HRNet-OCR``, False for ``master`` and
            ``pytorch-v1.1``.

    Returns:
        The converted tensors, with the layout, the model and the notes.

    Raises:
        ValueError: The layout or a name is unknown; the model is of another task; there is no
            final layer to re-initialise; ``align_corners`` is missing or contradicts the layout.
    """
    for option, value, valid in (
        ('task', task, TASKS),
        ('position_bias', position_bias or 'keep', get_args(PositionBias)),
    ):
        if value not in valid:
            raise ValueError(unknown_name(option, value, valid))
    if num_keypoints is not None and task != 'pose':
        raise ValueError(f'num_keypoints={num_keypoints} is for task="pose", not {task!r}')
    state, recorded, notes = unwrap(checkpoint)
    if not state:
        raise ValueError('the checkpoint holds no weights')
    layout = find_layout(state)
    trained_for = layout.task or recorded.get('task')
    check_task(layout, task)
    state, renamed = rename_tensors(state, layout, task)
    notes += renamed
    state, note = set_position_bias(state, position_bias or layout.position_bias)
    if note and position_bias is None:
        note = [f'{note[0]}: the official pose code does not add them']
    notes += note
    if num_keypoints is not None:
        state, note = set_keypoints(state, num_keypoints)
        notes += note
    model = recognise(state, task)
    upsample = recorded.get('upsample') or usual_upsample(layout, model)
    if align_corners is not None:
        upsample = with_align_corners(upsample, align_corners, layout)
    if task == trained_for == 'segmentation' and upsample == dict(mode='bilinear'):
        raise ValueError(
            'the names do not tell how these weights upsample: give align_corners=True '
            '(--align-corners) for those of the branch HRNet-OCR, align_corners=False '
            '(--no-align-corners) for those of master and pytorch-v1.1'
        )
    notes += loading_notes(model, trained_for, upsample)
    # Published segmentation models start from backbones of classifiers, and upsample otherwise.
    if upsample and (model.has_head or trained_for != 'classification'):
        state = with_metadata(state, upsample)
    return Conversion(state, layout.title, model, tuple(notes), trained_for, upsample)


def check_task(layout: Layout, task: Task) -> None:
    """Raise a ValueError if a layout cannot be converted for a task."""
    if layout.task not in (None, task) and task != 'pose':
        raise ValueError(
            f'this is an "{layout.title}", for {layout.task}: convert it with '
            f'task={layout.task!r} (--task {layout.task}) instead of {task!r}, or with '
            "task='pose' (--task pose), which keeps "
            f'{"the model" if layout.task == "pose" else "its backbone"}'
        )


def usual_upsample(layout: Layout, model: Model) -> Upsample | None:
    """Return what the weights of a layout were trained with, as far as it is known."""
    if layout.upsample or layout.task != 'pose':
        return layout.upsample
    spec = next(iter(FAMILIES[model.family].archs.values())).spec
    return getattr(spec, 'upsample', None)  # Lite-HRNet has no choice


def with_align_corners(
    upsample: Upsample | None, align_corners: bool, layout: Layout
) -> dict[str, Any]:
    """Return an ``upsample`` with the ``align_corners`` that is given.

    Raises:
        ValueError: It has another one, or none.
    """
    if upsample == dict(mode='bilinear'):
        return dict(upsample, align_corners=align_corners)
    if upsample is None or upsample.get('align_corners') != align_corners:
        known = 'has none' if upsample is None else f'has {upsample_text(upsample)}'
        raise ValueError(
            f'align_corners={align_corners}, but this "{layout.title}" {known}: omit it'
        )
    return dict(upsample)


def with_metadata(state: State, upsample: Upsample) -> State:
    """Return a state dict that tells the backbone, when loaded, how it was trained."""
    out = OrderedDict(state)
    out._metadata = OrderedDict(backbone=dict(upsample=dict(upsample)))  # type: ignore[attr-defined]
    return out


def unwrap(checkpoint: Any) -> tuple[State, dict[str, Any], list[str]]:
    """Find the weights in a training checkpoint.

    Args:
        checkpoint: A state dict, or dicts that enclose one.

    Returns:
        The state dict without the prefixes of wrappers; what this plugin recorded of its training,
        ``task`` and ``upsample`` or less; a note if there were several state dicts.

    Raises:
        ValueError: The checkpoint is not a dict, or nested too deeply.
    """
    notes: list[str] = []
    recorded: dict[str, Any] = {}
    for _ in range(MAX_DEPTH):
        if not isinstance(checkpoint, Mapping):
            raise ValueError(f'a checkpoint is a dict; this is a {type(checkpoint).__name__}')
        recorded |= find_record(checkpoint)
        # Other entries may have such a key: official HRNet writes model='pose_hrnet'.
        keys = [key for key in (*AVERAGED, *PLAIN) if has_weights(checkpoint.get(key))]
        if not keys:
            return strip_prefixes(checkpoint), recorded, notes
        averaged = keys[0] in AVERAGED
        if has_swapped_average(checkpoint):
            keys = ['state_dict', *(key for key in keys if key != 'state_dict')]
        if len(keys) > 1:
            notes.append(
                f'took {keys[0]!r}{", the averaged weights," if averaged else ""} and left '
                f'{", ".join(map(repr, keys[1:]))}'
            )
        checkpoint = checkpoint[keys[0]]
    raise ValueError(f'the checkpoint is nested more than {MAX_DEPTH} deep, or contains itself')


def find_record(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what this plugin recorded in a training checkpoint or a state dict, if valid."""
    meta = checkpoint.get('meta')
    records = [meta.get(META) if isinstance(meta, Mapping) else None]
    # In state dicts; written by our backbones, whatever they are part of
    metadata = getattr(checkpoint, '_metadata', None)
    records += metadata.values() if isinstance(metadata, Mapping) else []
    found: dict[str, Any] = {}
    for record in records:
        if isinstance(record, Mapping):
            if record.get('task') in TASKS:
                found['task'] = record['task']
            if isinstance(record.get('upsample'), Mapping):
                check_upsample('upsample of the checkpoint', record['upsample'])
                found['upsample'] = dict(record['upsample'])
    return found


def has_swapped_average(checkpoint: Mapping[str, Any]) -> bool:
    """Return whether MMEngine's EMAHook wrote a checkpoint.

    It swaps the weights when saving: ``state_dict`` has the averaged ones and ``ema_state_dict``,
    with a counter ``steps``, those in training.
    """
    ema = checkpoint.get('ema_state_dict')
    averaged = has_weights(checkpoint.get('state_dict'))
    return averaged and isinstance(ema, Mapping) and 'steps' in ema


def has_weights(value: object, depth: int = MAX_DEPTH) -> bool:
    """Return whether a value is a state dict, or encloses one under a known key."""
    if not isinstance(value, Mapping) or depth == 0:
        return False
    if any(isinstance(v, Tensor) for v in value.values()):
        return True
    return any(has_weights(value.get(key), depth - 1) for key in (*AVERAGED, *PLAIN))


def strip_prefixes(state: Mapping[str, Any]) -> State:
    """Remove the prefixes of wrappers, which may be repeated, from all names."""
    state = {str(name): tensor for name, tensor in state.items()}
    while True:
        names = [name for name in state if name not in COUNTERS and not name.startswith(LOSS)]
        prefix = next((p for p in PREFIXES if all(n.startswith(p) for n in names)), None)
        if prefix is None or not names:
            return dict(state)
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def set_position_bias(state: State, choice: PositionBias) -> tuple[State, list[str]]:
    """Keep, zero or drop the tables of position biases; drop their indices with them."""
    tables = [name for name in state if name.endswith('.relative_position_bias_table')]
    if not tables or choice == 'keep':
        return state, []
    biases = f'the position biases ({count(tables)})'
    if choice == 'zero':
        zeros = {name: torch.zeros_like(state[name]) for name in tables}
        return state | zeros, [f'zeroed {biases}']
    others = {name: tensor for name, tensor in state.items() if '.relative_position_' not in name}
    return others, [f'dropped {biases} and the indices into them']


def set_keypoints(state: State, num_keypoints: int) -> tuple[State, list[str]]:
    """Re-initialise the final layer if it has another number of keypoints."""
    if num_keypoints < 1:
        raise ValueError(f'num_keypoints is {num_keypoints}; expected 1 or more')
    weight = state.get('head.final_layer.weight')
    if weight is None:
        raise ValueError(
            f'num_keypoints={num_keypoints}, but the checkpoint has no final layer: omit it'
        )
    if weight.ndim != 4:
        raise ValueError(
            f'head.final_layer.weight has shape {tuple(weight.shape)}; expected that of a '
            'convolution, (keypoints, channels, height, width)'
        )
    if len(weight) == num_keypoints:
        return state, []
    # Initialise as the published code does, with a fixed seed
    generator = torch.Generator().manual_seed(0)
    fresh = torch.randn(num_keypoints, *weight.shape[1:], generator=generator) * 0.001
    changed = {'head.final_layer.weight': fresh.to(weight.dtype)}
    if 'head.final_layer.bias' in state:
        changed['head.final_layer.bias'] = weight.new_zeros(num_keypoints)
    note = f're-initialised the final layer: {num_keypoints} keypoints instead of {len(weight)}'
    return state | changed, [note]


def loading_notes(model: Model, task: Task | None, upsample: Upsample | None) -> list[str]:
    """Return notes for users who load the converted checkpoint.

    Args:
        model: The converted model.
        task: The task that the checkpoint was trained for.
        upsample: What it was trained with, if known.
    """
    lines = []
    if model.nearly:
        lines.append(f'not a published architecture, or a corrupt one: {model.nearly}')
    if model.has_position_bias is False:
        lines.append('no tables of position biases: build the backbone with with_rpe=False')
    if model.window:
        lines.append(f'windows of {model.window}: build the backbone with window={model.window}')
    if upsample and task != 'pose':
        text = f'the weights were trained with {upsample_text(upsample)}'
        if model.has_head:
            text += ', which the backbone has to be built with'
        if task == 'segmentation' and 'align_corners' in upsample:
            text += f'; decode heads need align_corners={upsample["align_corners"]}'
        lines.append(text)
    if model.all_streams:
        lines.append(
            'the last exchange has rows for all four streams: build the backbone with '
            'multiscale_output=True, or loading leaves three of them out'
        )
    if not model.has_head:
        lines.append(
            'no head: use it as init_cfg of the backbone, '
            "dict(type='Pretrained', checkpoint=FILE, prefix='backbone')"
        )
    return lines


def find_dataset_meta(checkpoint: Mapping[str, Any], keypoints: int | None) -> Any:
    """Return MMPose 1.x's description of the keypoints, which its inferencers need.

    Args:
        checkpoint: A training checkpoint.
        keypoints: Number of keypoints after the conversion.

    Returns:
        The description in plain types; None if there is none for as many keypoints.
    """
    meta = checkpoint.get('meta')
    dataset_meta = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    if not isinstance(dataset_meta, Mapping):
        return None
    number = dataset_meta.get('num_keypoints')
    is_number = isinstance(number, (int, np.integer, type(None)))
    return to_plain_types(dataset_meta) if is_number and number == keypoints else None


def to_plain_types(value: Any) -> Any:
    """Turn arrays and NumPy's numbers into lists and numbers, also inside containers."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {to_plain_types(key): to_plain_types(v) for key, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [to_plain_types(v) for v in value]
    return value
