"""Parallel streams: transitions open new ones, branches process each, exchanges mix them.

Streams are lists of maps, (N, C_i, H_i, W_i), from high to low resolution.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# (in_channels, out_channels, steps) -> a module that crosses `steps` levels of resolution
MakePath = Callable[[int, int, int], nn.Module]


class Branches(nn.ModuleList):
    """Apply to each stream its own branch."""

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        """Take all streams to as many."""
        return [branch(x) for branch, x in zip(self, streams)]


class Exchange(nn.ModuleList):
    """Sum all streams, brought to each stream's width and size, and apply a ReLU.

    Wang et al., https://arxiv.org/abs/1908.07919, section 3.3. Row ``i``, path ``j`` takes stream
    ``j`` to stream ``i``: the 2-D list that state dicts call ``fuse_layers``.

    Args:
        channels: Channels of each stream.
        outputs: Number of streams that come out, from the highest resolution down.
        down: Function that makes the path to a stream ``steps`` halvings lower.
        up: Function that makes the path to a stream ``steps`` doublings higher, without the
            resizing.
        upsample: ``mode`` and ``align_corners`` of :func:`torch.nn.functional.interpolate`.

    Example:
        >>> def path(in_channels, out_channels, steps):
        ...     return nn.Conv2d(in_channels, out_channels, 1, stride=1)
        >>> exchange = Exchange((8, 16), 1, down=path, up=path, upsample=dict(mode='nearest'))
        >>> streams = [torch.rand(1, 8, 6, 6), torch.rand(1, 16, 3, 3)]
        >>> [tuple(x.shape) for x in exchange(streams)]
        [(1, 8, 6, 6)]
    """

    def __init__(
        self,
        channels: Sequence[int],
        outputs: int,
        *,
        down: MakePath,
        up: MakePath,
        upsample: Mapping[str, Any],
    ) -> None:
        def path(i: int, j: int) -> nn.Module:
            if i == j:
                return nn.Identity()
            return (down if j < i else up)(channels[j], channels[i], abs(i - j))

        super().__init__(
            nn.ModuleList(path(i, j) for j in range(len(channels))) for i in range(outputs)
        )
        self.upsample = upsample

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        """Take all streams to the first ``outputs``, each of its own shape."""
        rows = cast(Iterable[nn.ModuleList], self)
        return [
            add(self.resize(path(x), out) for path, x in zip(row, streams)).relu()
            for row, out in zip(rows, streams)
        ]

    def resize(self, x: Tensor, like: Tensor) -> Tensor:
        """Resize ``x`` to the height and width of ``like``, whatever the two sizes."""
        if x.shape[-2:] == like.shape[-2:]:
            return x
        return F.interpolate(x, size=like.shape[-2:], **self.upsample)


class AliasedExchange(Exchange):
    """Exchange as the published Lite-HRNet code does, which its weights need.

    There, each sum starts with stream 0 and then adds all streams, stream 0 once more; in row 0
    that happens in place, so that the rows below read row 0's sum in the place of stream 0:

        s_0 = 2 x_0 + Σ_{j > 0} f_0j(x_j)
        s_i = 2 f_i0(s_0) + x_i + Σ_{j > 0, j ≠ i} f_ij(x_j)
    """

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        first, *others = streams
        sums: list[Tensor] = []
        for (path, *paths), out in zip(cast(Iterable[nn.ModuleList], self), streams):
            terms = [self.resize(path(x), out) for path, x in zip(paths, others)]
            sums.append(add([self.resize(twice(path, first), out), *terms], first_times=2))
            first = sums[0]
        return [x.relu() for x in sums]


def twice(path: nn.Module, x: Tensor) -> Tensor:
    """Return ``path(x)`` as if called twice: batch norms update their statistics two times."""
    y = path(x)
    if any(m.training and getattr(m, 'track_running_stats', False) for m in path.modules()):
        # Both calls return the same, so that 2 * y has the gradients of their sum.
        with torch.no_grad():
            path(x)
    return y


def add(terms: Iterable[Tensor], first_times: int = 1) -> Tensor:
    """Sum tensors of one shape, the first of which counts ``first_times``.

    One pass over memory for each plus sign, and one new tensor.
    """
    first, *others = terms
    if not others:
        return first_times * first
    second, *others = others
    total = torch.add(second, first, alpha=first_times)
    for term in others:
        total += term
    return total


class Transition(nn.ModuleList):
    """Open new streams, each from the lowest one there is, and adapt the widths of the others.

    Args:
        in_channels: Channels of the streams that come in.
        out_channels: Channels of the streams that go out, at least as many.
        down: Function that makes the path to a stream ``steps`` halvings lower.
        same: Function that makes the path from one width to another, at the same resolution.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        *,
        down: MakePath,
        same: Callable[[int, int], nn.Module],
    ) -> None:
        def path(i: int, width: int) -> nn.Module:
            if i >= len(in_channels):
                return down(in_channels[-1], width, i - len(in_channels) + 1)
            return nn.Identity() if width == in_channels[i] else same(in_channels[i], width)

        super().__init__(path(i, width) for i, width in enumerate(out_channels))

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        """Take the streams to as many or more."""
        return [path(streams[min(i, len(streams) - 1)]) for i, path in enumerate(self)]
