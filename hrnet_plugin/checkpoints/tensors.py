"""Change tensors that official code has in another form than OpenMMLab's."""

import re

import torch
from torch import Tensor

from .wording import listed

State = dict[str, Tensor]
Finished = tuple[State, list[str]]  # renamed tensors, and notes for the user

PROJECTION = re.compile(r'(.*\.)[qkv]_proj(\.\w+)')  # to queries, keys or values
# Biases of convolutions that a norm follows, and the running mean of that norm
FOLDED = (
    (r'(.*\.)conv\.bias', r'\1bn.running_mean'),
    (r'(.*\.downsample_layers\.\d+\.)0\.bias', r'\g<1>1.running_mean'),
    (r'(.*\.downsample_layers\.\d+\.)2\.bias', r'\g<1>3.running_mean'),
)
BACKGROUND_FIRST = re.compile(r'(roi_head\.bbox_head\.(?:\d+\.)?)fc_cls\.weight')


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


def split_final_layer(state: State) -> Finished:
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

    return {new_name(name): tensor for name, tensor in state.items()}, []


def fold_biases(state: State) -> Finished:
    """Subtract biases before norms from the running means; OpenMMLab's layers have no such bias.

    In evaluation that changes nothing: (Wx + b) - μ = Wx - (μ - b); training removes the mean of
    each batch, and so any bias.

    Raises:
        ValueError: A norm has no running mean, or one of another shape.
    """
    out = dict(state)
    for name, bias in state.items():
        for pattern, mean_name in FOLDED:
            if name.startswith('backbone.') or not (match := re.fullmatch(pattern, name)):
                continue
            mean = out.get(match.expand(mean_name))
            if mean is None or mean.shape != bias.shape:
                raise ValueError(
                    f'{name}, of shape {tuple(bias.shape)}, is part of {match.expand(mean_name)}, '
                    f'which {"is missing" if mean is None else f"has {tuple(mean.shape)}"}: fetch '
                    'the checkpoint again'
                )
            out[match.expand(mean_name)] = (mean.double() - bias.double()).to(mean.dtype)
            del out[name]
    return out, []


def put_background_last(state: State) -> Finished:
    """Order the classes of a detector of MMDetection 1.x as MMDetection 2 and later has them.

    The background was the first class, also of boxes and masks; it is the last one of scores now,
    and has neither boxes nor masks.
    """
    out = dict(state)
    heads = [match[1] for name in state if (match := BACKGROUND_FIRST.fullmatch(name))]
    for head in heads:
        classes = len(state[f'{head}fc_cls.weight'])
        for leaf in ('weight', 'bias'):
            scores, boxes, masks = (
                f'{name}.{leaf}'
                for name in (
                    f'{head}fc_cls',
                    f'{head}fc_reg',
                    f'{head.replace("bbox_head", "mask_head")}conv_logits',
                )
            )
            if scores in out:
                out[scores] = torch.roll(out[scores], -1, dims=0)
            for name, rows in ((boxes, 4), (masks, 1)):
                if name in out and len(out[name]) == rows * classes:  # else for all classes alike
                    out[name] = out[name][rows:]
    notes = [f'put the background last among {classes} classes'] if heads else []
    notes.append(
        'left the rest of the heads as it was: boxes are coded as in MMDetection 1.x, so that the '
        'published AP needs LegacyAnchorGenerator, LegacyDeltaXYWHBBoxCoder, and RoIAlign with '
        'aligned=False'
    )
    return out, notes
