"""What connects parallel streams: transitions that open new ones, exchanges that mix them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# path(in_channels, out_channels, steps): a module that crosses `steps` levels of resolution
Path = Callable[[int, int, int], nn.Module]


class Exchange(nn.ModuleList):
    """Every output stream is the ReLU of the sum of all streams, brought to its width and size.

    Wang et al., https://arxiv.org/abs/1908.07919, section 3.3. Row ``i``, path ``j`` takes stream
    ``j`` to stream ``i``: the 2-D list that checkpoints call ``fuse_layers``.

    Args:
        channels: channels of each stream, high to low resolution.
        outputs: how many streams come out, from the highest resolution down.
        down: makes the path to a stream ``steps`` halvings lower.
        up: makes the path to a stream ``steps`` doublings higher, without the resizing.
        upsample: ``mode`` and ``align_corners`` of :func:`torch.nn.functional.interpolate`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        outputs: int,
        *,
        down: Path,
        up: Path,
        upsample: dict[str, Any],
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
        rows = cast(Iterable[nn.ModuleList], self)
        return [
            add(self.resize(path(x), out) for path, x in zip(row, streams)).relu()
            for row, out in zip(rows, streams)
        ]

    def resize(self, x: Tensor, like: Tensor) -> Tensor:
        """Bring ``x`` to the size of ``like``, also where the sizes are no multiples."""
        if x.shape[-2:] == like.shape[-2:]:
            return x
        return F.interpolate(x, size=like.shape[-2:], **self.upsample)


class AliasedExchange(Exchange):
    """The exchange of the published Lite-HRNet code, which its weights need.

    There, each sum starts with stream 0 and then adds all streams, stream 0 once more; in row 0
    that happens in place, so that the rows below read row 0's sum where they mean stream 0:

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
    """``path(x)`` with the effect of two calls: statistics of norms in training move twice."""
    y = path(x)
    if any(m.training and getattr(m, 'track_running_stats', False) for m in path.modules()):
        # Both calls return the same, so that 2 * y has the gradients of their sum.
        with torch.no_grad():
            path(x)
    return y


def add(terms: Iterable[Tensor], first_times: int = 1) -> Tensor:
    """The sum of some tensors, the first of which counts ``first_times``.

    It makes one pass over memory for each plus sign, and one new tensor.
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
    """Opens new streams, each from the lowest one there is, and adapts the widths of the others.

    Args:
        in_channels: channels of the streams there are.
        out_channels: channels of the streams wanted, at least as many.
        down: makes the path to a stream ``steps`` halvings lower.
        same: makes the path that changes the width only.
    """

    def __init__(
        self, in_channels: Sequence[int], out_channels: Sequence[int], *, down: Path, same: Path
    ) -> None:
        def path(i: int, width: int) -> nn.Module:
            if i >= len(in_channels):
                return down(in_channels[-1], width, i - len(in_channels) + 1)
            return nn.Identity() if width == in_channels[i] else same(in_channels[i], width, 0)

        super().__init__(path(i, width) for i, width in enumerate(out_channels))

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        return [path(streams[min(i, len(streams) - 1)]) for i, path in enumerate(self)]
