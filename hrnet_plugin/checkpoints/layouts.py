"""Layouts of published checkpoints, one row each, and their conversion to MMPose 1.x's names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .published import is_backbone_name, words_of

State = dict[str, Tensor]
PositionBias = Literal['keep', 'zero', 'drop']
Rules = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Layout:
    """One way to name the parts of a model. Patterns match the beginning of a name.

    Attributes:
        title: Name of the layout, for messages.
        marks: Patterns, each of which matches some name of such a checkpoint.
        renames: Pairs of a pattern and its replacement; the first match is applied.
        drops: Pairs of a pattern and the reason why such tensors are left out.
        position_bias: What becomes of HRFormer's tables of position biases.
    """

    title: str
    marks: tuple[str, ...]
    renames: Rules
    drops: Rules = ()
    position_bias: PositionBias = 'keep'


PREFIXED = (r'backbone\.', 'backbone.')
BARE = (r'', 'backbone.')
MMPOSE_0 = (PREFIXED, (r'keypoint_head\.', 'head.'))
NO_CLASSIFIER = 'the ImageNet classification head, which pose models do not have'

# A checkpoint has the layout of the first row whose marks all match.
LAYOUTS = (
    Layout(
        # https://github.com/HRNet/HRFormer, pose: bias tables are kept from ImageNet, but the line
        # that adds them is commented out.
        'official HRFormer pose model',
        marks=(r'backbone\..*\.q_proj\.',),
        renames=MMPOSE_0,
        position_bias='zero',
    ),
    Layout(
        # https://github.com/HRNet/HRNet-Image-Classification
        # https://github.com/HRNet/HRFormer, cls: its bias tables are added.
        'official ImageNet classifier',
        marks=(r'stage2\.0\.', r'incre_modules\.'),
        renames=(BARE,),
        drops=((r'(incre_modules|downsamp_modules|final_layer|classifier)\.', NO_CLASSIFIER),),
    ),
    Layout(
        # hrnet_w32-36af842e.pth and its like, from which MMPose's configs start
        'ImageNet classifier of the HRNet pose repository',
        marks=(r'stage2\.0\.', r'head\.0\.0\.0\.'),
        renames=(BARE,),
        drops=((r'(head|fc|classifier)\.', NO_CLASSIFIER),),
    ),
    Layout(
        # https://github.com/leoxiaobin/deep-high-resolution-net.pytorch
        'official HRNet pose model',
        marks=(r'stage2\.0\.', r'final_layer\.weight'),
        renames=((r'final_layer\.', 'head.final_layer.'), BARE),
    ),
    Layout(
        'MMPretrain classifier',
        marks=(r'backbone\.stage2\.0\.', r'head\.fc\.|neck\.increase_layers\.'),
        renames=(PREFIXED,),
        drops=((r'(neck|head)\.', NO_CLASSIFIER),),
    ),
    Layout(
        # https://github.com/HRNet/Lite-HRNet is written for MMPose 0.x.
        'official Lite-HRNet or MMPose 0.x model',
        marks=(r'backbone\.stem\.', r'keypoint_head\.'),
        renames=MMPOSE_0,
    ),
    Layout(
        'MMPose 0.x model', marks=(r'backbone\.stage2\.0\.', r'keypoint_head\.'), renames=MMPOSE_0
    ),
    Layout(
        'MMPose 1.x model',
        marks=(r'backbone\.stage2\.0\.', r'head\.'),
        renames=(PREFIXED, (r'head\.', 'head.')),
    ),
    Layout('backbone alone', marks=(r'backbone\.stage2\.0\.',), renames=(PREFIXED,)),
    Layout('backbone alone', marks=(r'stage2\.0\.',), renames=(BARE,)),
)

# In every layout: names of official HRFormer that MMPose changed
INNER_RENAMES = ((r'\.attn\.attn\.out_proj\.', '.attn.attn.proj.'), (r'\.mlp\.', '.ffn.'))
# In every layout: what hooks that average weights add
HOOK_DROPS = (
    (
        r'ema_(backbone|keypoint_head|head)_',
        "weights that are not averaged: MMCV's EMAHook saves the averaged ones under plain names",
    ),
    (r'(steps|n_averaged)$', 'a counter of the averaging'),
)

PROJECTION = re.compile(r'(.*\.)[qkv]_proj(\.\w+)')  # to queries, keys or values
# The words of HeatmapHead's names; a test compares them with the class, which needs mmpose.
HEAD_WORDS = frozenset(
    [
        *('deconv_layers', 'conv_layers', 'final_layer'),
        *('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'),
    ]
)


def is_known(name: str) -> bool:
    """Return whether a name is one of MMPose 1.x, or becomes one by joining projections."""
    part, _, rest = PROJECTION.sub(r'\1qkv\2', name).partition('.')
    if part == 'backbone':
        return is_backbone_name(rest)
    return part == 'head' and words_of([rest]) <= HEAD_WORDS


def find_layout(state: Mapping[str, Tensor]) -> Layout:
    """Return the layout of a state dict.

    Raises:
        ValueError: No known layout matches.
    """
    for layout in LAYOUTS:
        if all(any(re.match(mark, name) for name in state) for mark in layout.marks):
            return layout
    raise ValueError(
        f'not a known checkpoint of HRNet, Lite-HRNet or HRFormer: its names begin with '
        f'{listed(state)}; known layouts: {known_layouts()}'
    )


def apply_layout(state: Mapping[str, Tensor], layout: Layout) -> tuple[State, list[str]]:
    """Rename tensors to the names of MMPose 1.x.

    Returns:
        The tensors by their new names, and one note for each reason to leave some out.

    Raises:
        ValueError: A name is unknown, or two names become the same.
    """
    renamed: State = {}
    dropped: dict[str, list[str]] = {}
    unknown = []
    for name, tensor in state.items():
        if rule := first_match((*HOOK_DROPS, *layout.drops), name):
            dropped.setdefault(rule[1], []).append(name)
            continue
        new = rename(name, layout.renames)
        if not isinstance(tensor, Tensor) or not is_known(new):
            unknown.append(name)
        elif new in renamed:
            raise ValueError(f'two tensors of the checkpoint would become {new!r}')
        else:
            renamed[new] = tensor.detach()
    if unknown:
        raise ValueError(
            f'this looks like "{layout.title}", but {len(unknown)} of {len(state)} names are not '
            f'known there: {listed(unknown)}; known layouts: {known_layouts()}'
        )
    notes = [
        f'dropped {count(names)} ({listed({n.split(".")[0]: None for n in names})}): {reason}'
        for reason, names in dropped.items()
    ]
    return split_final_layer(join_projections(renamed)), notes


def rename(name: str, renames: Rules) -> str:
    """Return MMPose 1.x's name; '' if no rule matches."""
    rule = first_match(renames, name)
    if rule is None:
        return ''
    new = re.sub(rule[0], rule[1], name, count=1)
    for pattern, replacement in INNER_RENAMES:
        new = re.sub(pattern, replacement, new)
    return new


def join_projections(state: State) -> State:
    """Join the projections to queries, keys and values into one, rows in that order.

    ``…q_proj.weight``, ``…k_proj.weight``, ``…v_proj.weight``, each (C, C), become
    ``…qkv.weight``, (3 C, C), whatever their order in the file; biases likewise.

    Raises:
        ValueError: One of the three is missing, or their shapes differ.
    """
    out: State = {}
    for name, tensor in state.items():
        match = PROJECTION.fullmatch(name)
        if match is None:
            out[name] = tensor
            continue
        before, after = match.groups()
        parts = [f'{before}{p}_proj{after}' for p in 'qkv']
        missing = [part for part in parts if part not in state]
        if missing:
            raise ValueError(f'the checkpoint has {name!r}, but no {listed(missing)}')
        shapes = [tuple(state[part].shape) for part in parts]
        if len({*shapes}) > 1 or shapes[0] == ():
            raise ValueError(
                f'{listed(parts)} have shapes {shapes}; expected the same, (C, C) or (C,)'
            )
        out[f'{before}qkv{after}'] = torch.cat([state[part] for part in parts])
    return out


def split_final_layer(state: State) -> State:
    """Split heads of MMPose 0.x whose ``final_layer`` is a sequence.

    Its last convolution is ``final_layer`` in MMPose 1.x; the layers before it, ``conv_layers``.
    """
    pattern = re.compile(r'head\.final_layer\.(\d+)\.(\w+)')
    numbers = [int(match[1]) for name in state if (match := pattern.fullmatch(name))]

    def new_name(name: str) -> str:
        match = pattern.fullmatch(name)
        if match is None:
            return name
        number, leaf = match.groups()
        if int(number) == max(numbers):
            return f'head.final_layer.{leaf}'
        return f'head.conv_layers.{number}.{leaf}'

    return {new_name(name): tensor for name, tensor in state.items()}


def first_match(rules: Rules, name: str) -> tuple[str, str] | None:
    """Return the first rule whose pattern matches the beginning of a name."""
    return next((rule for rule in rules if re.match(rule[0], name)), None)


def listed(names: Mapping[str, object] | Sequence[str], most: int = 4) -> str:
    """Join the first names for a message."""
    first = list(names)[:most]
    return ', '.join(first) + (', …' if len(names) > most else '')


def count(tensors: Sequence[object]) -> str:
    """Return the number of tensors in words."""
    return '1 tensor' if len(tensors) == 1 else f'{len(tensors)} tensors'


def known_layouts() -> str:
    """List the titles of all layouts for a message."""
    return ', '.join(dict.fromkeys(layout.title for layout in LAYOUTS))
