"""Batch norms are folded into convolutions, and nothing else changes."""

from collections.abc import Sequence

import pytest
import torch
from support.model_checks import SMALL, randomised, small_extra
from torch import Tensor, nn

from hrnet_plugin.models import TopdownPoseEstimator
from hrnet_plugin.models.fuse import fuse_norms


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize('structure', SMALL)
def test_outputs_are_the_same_without_norms(structure: str) -> None:
    family, row = SMALL[structure]
    backbone = dict(type=f'hrnet_plugin.{family}', extra=small_extra(structure))
    head = dict(type='hrnet_plugin.HeatmapHead', in_channels=row.width, out_channels=17)
    model = randomised(TopdownPoseEstimator(backbone, head=head).eval())
    before = norms(model)
    fused = fuse_norms(model, torch.rand(1, 3, 64, 96))
    assert norms(model) == before
    assert len(before) > 50
    assert norms(fused) == []
    images = torch.rand(2, 3, 96, 64)
    with torch.inference_mode():
        expected, actual = model(images, None), fused(images, None)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


class Odd(nn.Module):
    """Two norms that cannot be folded into a convolution, and one that can."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(3, 3, 1)
        self.after_twice = nn.BatchNorm2d(3)
        self.first = nn.BatchNorm2d(3)
        self.norm_listed_first = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor, _: Sequence[None] | None) -> Tensor:
        x = self.first(x)
        x = self.twice(self.after_twice(self.twice(x)))
        return self.norm_listed_first(self.conv(x))


def test_only_what_follows_a_convolution_is_fused() -> None:
    model = randomised(Odd().eval())
    fused = fuse_norms(model, torch.rand(1, 3, 8, 8))
    assert norms(fused) == [fused.after_twice, fused.first]
    assert isinstance(fused.norm_listed_first, nn.Identity)


class Reused(nn.Module):
    """The output of a convolution is used elsewhere, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor, _: Sequence[None] | None) -> Tensor:
        x = self.conv(x)
        return x + self.norm(x)


def test_a_model_that_would_change_is_left_alone() -> None:
    model = randomised(Reused().eval())
    assert fuse_norms(model, torch.rand(1, 3, 8, 8)) is model
