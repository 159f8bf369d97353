"""Which model a state dict with the names of MMPose 1.x belongs to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ..models.archs import HRFORMER_ARCHS, HRNET_ARCHS, LITEHRNET_ARCHS

Shapes = dict[str, tuple[int, ...]]

ARCHS: dict[str, Mapping[str, Any]] = {
    'HRNet': HRNET_ARCHS,
    'LiteHRNet': LITEHRNET_ARCHS,
    'HRFormer': HRFORMER_ARCHS,
}
# Tensors that a checkpoint of a published architecture may lack: counters that torch < 0.4.1 did
# not write; what with_rpe=False leaves out; rows of the last exchange for streams 1 to 3, which
# only multiscale_output=True computes
COUNTER = re.compile(r'.*\.num_batches_tracked')
POSITION_BIAS = re.compile(r'.*\.relative_position_(bias_table|index)')
LAST_ROWS = re.compile(r'backbone\.stage4\.(\d+)\.fuse_layers\.[1-9]\..*')
# The 1x1 convolution of the first exchange from stream 1 to stream 0 has a norm of its width.
WIDTH = re.compile(r'backbone\.stage[02]\.0\.fuse_layers\.0\.1\.1\.weight')
NEARLY = 0.1  # of the tensors may differ from an architecture that is worth a word


@dataclass(frozen=True)
class Model:
    """What a state dict holds.

    Attributes:
        family: name of the backbone's class.
        arch: name of the published architecture, if it is one.
        keypoints: channels of the final layer; None if there is none.
        has_head: whether there is any layer of a head.
        has_position_bias: whether an HRFormer has its tables of position biases; None for others.
        all_streams: whether the last exchange has rows for streams 1 to 3 (not Lite-HRNet's, which
            always has).
        nearly: how the backbone differs from the nearest published architecture, if little.
    """

    family: str
    arch: str | None
    keypoints: int | None
    has_head: bool
    has_position_bias: bool | None
    all_streams: bool
    nearly: str | None = None

    def __str__(self) -> str:
        if self.arch is None:
            backbone = f'{self.family} of a custom architecture'
        else:
            backbone = f'{self.family} {self.arch}'
        if self.keypoints is not None:
            return f'{backbone}, {self.keypoints} keypoints'
        return f'{backbone}, {"head without final layer" if self.has_head else "no head"}'


def recognise(state: Mapping[str, Tensor]) -> Model:
    """Tell the model from names and shapes."""
    if any(name.startswith('backbone.stem.') for name in state):
        family = 'LiteHRNet'
    elif any('.attn.attn.' in name for name in state):
        family = 'HRFormer'
    else:
        family = 'HRNet'
    final = state.get('head.final_layer.weight')
    arch, nearly = recognise_arch(family, state)
    return Model(
        family=family,
        arch=arch,
        keypoints=None if final is None or not final.ndim else final.shape[0],
        has_head=any(name.startswith('head.') for name in state),
        has_position_bias=(
            any(POSITION_BIAS.fullmatch(name) for name in state) if family == 'HRFormer' else None
        ),
        all_streams=bool(last_rows(state)),
        nearly=nearly,
    )


def recognise_arch(family: str, state: Mapping[str, Tensor]) -> tuple[str | None, str | None]:
    """The published architecture, or, if it is none, how the nearest one differs."""
    given = {
        name: tuple(tensor.shape)
        for name, tensor in state.items()
        if name.startswith('backbone.') and not COUNTER.fullmatch(name)
    }
    width = next((shape for name, shape in given.items() if WIDTH.fullmatch(name)), ())
    differences = {}
    for name, arch in ARCHS[family].items():
        if (arch.width,) == width:
            differences[name] = compare(given, published_shapes(family, name))
            if not differences[name]:
                return name, None
    if not differences:
        return None, None
    nearest = min(differences, key=lambda name: len(differences[name]))
    wrong = differences[nearest]
    if len(wrong) > NEARLY * len(given):
        return None, None
    listed = ', '.join(wrong[:3]) + (', …' if len(wrong) > 3 else '')
    return None, f'{len(wrong)} tensors differ from {family} {nearest}: {listed}'


@cache
def published_shapes(family: str, arch: str) -> Shapes:
    """Names and shapes of a published backbone with all that it can have, counters left out."""
    from .. import models  # it takes long to import

    options = {} if family == 'LiteHRNet' else dict(multiscale_output=True)
    with torch.device('meta'):
        state = getattr(models, family)(arch=arch, **options).state_dict()
    shapes = {f'backbone.{name}': tuple(tensor.shape) for name, tensor in state.items()}
    return {name: shape for name, shape in shapes.items() if not COUNTER.fullmatch(name)}


def compare(given: Shapes, published: Shapes) -> list[str]:
    """How names and shapes differ from those of an architecture, in words."""
    biases = {name for name in published if POSITION_BIAS.fullmatch(name)}
    absent: set[str] = set()  # optional groups of which there is nothing
    for group in (biases, set(last_rows(published))):
        if group.isdisjoint(given):
            absent |= group
    missing = [name for name in published if name not in given and name not in absent]
    unknown = [name for name in given if name not in published]
    reshaped = [name for name in given if name in published and given[name] != published[name]]
    return (
        [f'{name} is missing' for name in missing]
        + [f'{name} is not of it' for name in unknown]
        + [f'{name} is {given[name]} instead of {published[name]}' for name in reshaped]
    )


def last_rows(names: Mapping[str, object]) -> list[str]:
    """Names in the last exchange for streams 1 to 3."""
    last = max(
        (int(m[1]) for name in names if (m := re.match(r'backbone\.stage4\.(\d+)\.', name))),
        default=None,
    )
    return [name for name in names if (m := LAST_ROWS.fullmatch(name)) and last == int(m[1])]
