"""Rename the tensors of a checkpoint as OpenMMLab names them."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from .layouts import Layout, Rule, known_layouts
from .published import is_backbone_name, words_of
from .tasks import Task
from .tensors import PROJECTION, State, join_projections
from .wording import count, listed

# In every layout: names of official HRFormer that OpenMMLab's changed
INNER_RENAMES = ((r'\.attn\.attn\.out_proj\.', '.attn.attn.proj.'), (r'\.mlp\.', '.ffn.'))
# In every layout: what hooks that average weights add, and losses that have weights
DROPS = (
    (
        r'ema_(backbone|keypoint_head|head)_',
        "weights that are not averaged: MMCV's EMAHook saves the averaged ones under plain names",
    ),
    (r'(steps|n_averaged)$', 'a counter of the averaging'),
    (r'loss\.', 'weights of the loss, which are not part of the model'),
)
# The words of names of pose models; tests compare them with HeatmapHead, which needs mmpose, and
# with the necks.
LEAVES = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
WORDS = {
    'head': frozenset([*('deconv_layers', 'conv_layers', 'final_layer'), *LEAVES]),
    'neck': frozenset(
        [
            *('mixing', 'reduction_conv', 'fpn_convs', 'conv', 'bn'),
            *('increase_layers', 'downsample_layers', 'final_layer', 'downsample'),
            *('conv1', 'bn1', 'conv2', 'bn2', 'conv3', 'bn3'),
            *LEAVES,
        ]
    ),
}


def rename_tensors(
    state: Mapping[str, Tensor], layout: Layout, task: Task
) -> tuple[State, list[str]]:
    """Rename tensors to OpenMMLab's names; without the head where it is of another task.

    Args:
        state: Tensors by the names of the layout.
        layout: The layout.
        task: The task to convert for: that of the layout, or pose.

    Returns:
        The tensors by their new names, and a note on each change and each reason to leave some
        out.

    Raises:
        ValueError: A name is unknown, or two names become the same, or OpenMMLab has no names for
            the head.
    """
    whole = layout.task == task
    if whole and any(new is None for _, new in layout.head):
        raise ValueError(
            f'{layout.title}: OpenMMLab has no names for its head; task="pose" (--task pose) '
            'keeps the backbone'
        )
    renamed: State = {}
    dropped: dict[str, list[str]] = {}
    unknown = []
    for name, tensor in state.items():
        if drop := first_match(DROPS, name):
            dropped.setdefault(str(drop[1]), []).append(name)
            continue
        rule = first_match(layout.head, name)
        if rule and not whole:
            reason = f'the {layout.task} head, which {task} models do not have'
            dropped.setdefault(reason, []).append(name)
            continue
        new = rename(name, rule or layout.backbone)
        if not isinstance(tensor, Tensor) or not is_known(new, task):
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
    renamed = join_projections(renamed)
    if whole:
        renamed, finished = layout.finish(renamed)
        notes += finished
    return renamed, notes


def rename(name: str, rule: Rule) -> str:
    """Return OpenMMLab's name; '' if the rule does not match."""
    match = re.match(rule[0], name)
    if match is None or rule[1] is None:
        return ''
    new = match.expand(rule[1]) + name[match.end() :]
    for pattern, replacement in INNER_RENAMES:
        new = re.sub(pattern, replacement, new)
    return new


def is_known(name: str, task: Task) -> bool:
    """Return whether a name is one of OpenMMLab, or becomes one by joining projections.

    Those of heads are if a rule led to them; pose models keep theirs, and so are looked at.
    """
    part, _, rest = PROJECTION.sub(r'\1qkv\2', name).partition('.')
    if part == 'backbone':
        return is_backbone_name(rest)
    if task == 'pose':
        return part in WORDS and words_of([rest]) <= WORDS[part]
    return bool(name)


def first_match(rules: Sequence[Rule], name: str) -> Rule | None:
    """Return the first rule whose pattern matches the beginning of a name."""
    return next((rule for rule in rules if re.match(rule[0], name)), None)
