"""Recognise the model that a state dict with OpenMMLab's names belongs to."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..models.families import FAMILIES
from .published import COUNTER, WINDOW, Shapes, find_family, published_shapes, vocabulary
from .tasks import TASKS, Task

# Tensors that a checkpoint of a published architecture may lack, beside counters: what
# with_rpe=False leaves out; rows of the last exchange for streams 1 to 3, which only
# multiscale_output=True computes
POSITION_BIAS = re.compile(r'(?:.*\.)?relative_position_(bias_table|index)')
LAST_ROWS = re.compile(r'backbone\.stage4\.(\d+)\.fuse_layers\.[1-9]\..*')
# The 1x1 convolution of the first exchange from stream 1 to stream 0 has a norm of its width.
WIDTH = re.compile(r'backbone\.stage\d+\.0\.fuse_layers\.0\.1\.1\.weight')
BIAS_TABLE = 'relative_position_bias_table'
NEARLY = 0.1  # the share of tensors that may differ from an architecture to be compared with it


@dataclass(frozen=True)
class Model:
    """The model that a state dict was recognised as.

    Attributes:
        family: Name of the backbone's class.
        arch: Name of the published architecture; None for any other.
        keypoints: Output channels of the final layer of a pose model; None without a final layer.
        has_head: Whether there is any layer of a head.
        has_position_bias: Whether there are tables of position biases; None for a family that
            never has them.
        all_streams: Whether the last exchange of stage 4 has rows for streams 1 to 3.
        nearly: How the backbone differs from the nearest published architecture, if little.
        task: What the head is for.
        classes: Outputs of the final layer of a model that is not for poses; None without one.
        window: Side of the attention windows; None where they are unknown, or the usual ones.
    """

    family: str
    arch: str | None
    keypoints: int | None
    has_head: bool
    has_position_bias: bool | None
    all_streams: bool
    nearly: str | None = None
    task: Task = 'pose'
    classes: int | None = None
    window: int | None = None

    def __str__(self) -> str:
        if self.arch is None:
            backbone = f'{self.family} of a custom architecture'
        else:
            backbone = f'{self.family} {self.arch}'
        if self.window:
            backbone += f', windows of {self.window}'
        outputs = self.keypoints if self.task == 'pose' else self.classes
        if outputs is not None:
            return f'{backbone}, {outputs} {TASKS[self.task].outputs}'
        if self.task == 'pose' and self.has_head:
            return f'{backbone}, head without final layer'
        return f'{backbone}, {f"{self.task} head" if self.has_head else "no head"}'


def recognise(state: Mapping[str, Tensor], task: Task = 'pose') -> Model:
    """Recognise a model of a task by the names and shapes of its tensors."""
    family = find_family(
        name.removeprefix('backbone.') for name in state if name.startswith('backbone.')
    )
    may_have_bias = any(map(POSITION_BIAS.fullmatch, vocabulary(family)))
    finals = [t for name, t in state.items() if re.fullmatch(TASKS[task].final, name) and t.ndim]
    outputs = len(finals[-1]) if finals else None
    window = find_window(state) if may_have_bias else WINDOW
    arch, nearly = recognise_arch(family, state, window)
    return Model(
        family=family,
        arch=arch,
        keypoints=outputs if task == 'pose' else None,
        has_head=not all(name.startswith('backbone.') for name in state),
        has_position_bias=any(map(POSITION_BIAS.fullmatch, state)) if may_have_bias else None,
        all_streams=bool(last_rows(state)),
        nearly=nearly,
        task=task,
        classes=None if task == 'pose' else outputs,
        window=None if window == WINDOW else window,
    )


def find_window(state: Mapping[str, Tensor]) -> int:
    """Return the side of all attention windows; the usual one where there are no tables."""
    tables = {len(t) for name, t in state.items() if name.endswith(BIAS_TABLE) and t.ndim}
    # A table has a row for each offset, of -(w - 1) to w - 1 along each axis.
    sides = {(math.isqrt(rows) + 1) // 2 for rows in tables}
    exact = tables == {(2 * side - 1) ** 2 for side in sides}
    return sides.pop() if exact and len(sides) == 1 else WINDOW


def recognise_arch(
    family: str, state: Mapping[str, Tensor], window: int
) -> tuple[str | None, str | None]:
    """Return the name of the published architecture, or how the nearest one differs, if little."""
    given = {
        name: tuple(tensor.shape)
        for name, tensor in state.items()
        if name.startswith('backbone.') and not COUNTER.fullmatch(name)
    }
    width = next((shape for name, shape in given.items() if WIDTH.fullmatch(name)), ())
    differences = {}
    for name, arch in FAMILIES[family].archs.items():
        if (arch.width,) == width:
            differences[name] = compare(given, published_shapes(family, name, window))
            if not differences[name]:
                return name, None
    if not differences:
        return None, None
    nearest = min(differences, key=lambda name: len(differences[name]))
    listed = differences[nearest]
    if len(listed) > NEARLY * len(given):
        return None, None
    shown = ', '.join(listed[:3]) + (', …' if len(listed) > 3 else '')
    return None, f'{len(listed)} tensors differ from {family} {nearest}: {shown}'


def compare(given: Shapes, published: Shapes) -> list[str]:
    """Describe each difference from the names and shapes of an architecture."""
    biases = {name for name in published if POSITION_BIAS.fullmatch(name)}
    absent: set[str] = set()  # optional groups that are left out entirely
    for group in (biases, set(last_rows(published))):
        if group.isdisjoint(given):
            absent |= group
    missing = [name for name in published if name not in given and name not in absent]
    unknown = [name for name in given if name not in published]
    reshaped = [name for name in given if name in published and given[name] != published[name]]
    return (
        [f'{name} is missing' for name in missing]
        + [f'{name} is not part of it' for name in unknown]
        + [f'{name} is {given[name]} instead of {published[name]}' for name in reshaped]
    )


def last_rows(names: Mapping[str, object]) -> list[str]:
    """List the names of the last exchange's rows for streams 1 to 3."""
    last = max(
        (int(m[1]) for name in names if (m := re.match(r'backbone\.stage4\.(\d+)\.', name))),
        default=None,
    )
    return [name for name in names if (m := LAST_ROWS.fullmatch(name)) and last == int(m[1])]
