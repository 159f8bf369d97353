"""Batch norms become part of convolutions, and nothing else changes."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from hrnet_plugin.models import TopdownPoseEstimator
from hrnet_plugin.models.fuse import fuse_norms

BACKBONES = {'HRNet': 'w18-small-v1', 'LiteHRNet': 'lite-18', 'HRFormer': 'tiny'}


def randomize(model: nn.Module) -> None:
    """Statistics and weights of norms, as after some training."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_(0, 0.1)
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 1.5)


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize(('name', 'arch'), BACKBONES.items())
def test_outputs_are_the_same_without_norms(name: str, arch: str) -> None:
    torch.manual_seed(0)
    backbone = dict(type=f'hrnet_plugin.{name}', arch=arch)
    channels = {'HRNet': 16, 'LiteHRNet': 40, 'HRFormer': 18}[name]
    head = dict(type='hrnet_plugin.HeatmapHead', in_channels=channels, out_channels=17)
    model = TopdownPoseEstimator(backbone, head=head).eval()
    randomize(model)
    before = norms(model)
    fused = fuse_norms(model, torch.rand(1, 3, 64, 96))
    assert norms(model) == before
    assert len(before) > 50
    assert norms(fused) == []
    images = torch.rand(2, 3, 96, 64)
    with torch.inference_mode():
        expected, found = model(images, None), fused(images, None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


class Odd(nn.Module):
    """Two norms that cannot become part of a convolution, and one that can."""

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
    torch.manual_seed(0)
    model = Odd().eval()
    randomize(model)
    fused = fuse_norms(model, torch.rand(1, 3, 8, 8))
    assert norms(fused) == [fused.after_twice, fused.first]
    assert isinstance(fused.norm_listed_first, nn.Identity)


class Reused(nn.Module):
    """The output of a convolution goes elsewhere, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor, _: Sequence[None] | None) -> Tensor:
        x = self.conv(x)
        return x + self.norm(x)


def test_a_model_that_would_change_is_left_alone() -> None:
    torch.manual_seed(0)
    model = Reused().eval()
    randomize(model)
    assert fuse_norms(model, torch.rand(1, 3, 8, 8)) is model
