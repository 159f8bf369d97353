"""The inference form: norms are folded, layers replaced, and outputs stay the same."""

import pickle
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from support.model_checks import SMALL, randomised, small_extra
from support.operations import operations
from torch import Tensor, nn

from hrnet_plugin.models import TopdownPoseEstimator
from hrnet_plugin.models.families import FAMILIES
from hrnet_plugin.models.fuse import fuse_norms, to_inference_form
from hrnet_plugin.models.layers import BasicBlock, Bottleneck
from hrnet_plugin.models.layers.inference import (
    FastWindowAttention,
    FusedConv2d,
    FusedResidual,
)
from hrnet_plugin.models.layers.window_attention import WindowAttention

BN = dict(type='BN')
CONV = 'mkldnn::_convolution_pointwise'
LINEAR = 'mkldnn::_linear_pointwise'
PUBLISHED = [(family, arch) for family in FAMILIES.values() for arch in family.archs]


def estimator(structure: str, norm: str = 'BN') -> TopdownPoseEstimator:
    """The smallest model of a structure."""
    family, row = SMALL[structure]
    extra, norm_cfg = small_extra(structure), dict(type=norm)
    backbone = dict(type=f'hrnet_plugin.{family}', extra=extra, norm_cfg=norm_cfg)
    return with_head(backbone, row.width)


def with_head(
    backbone: dict[str, Any], channels: int, neck: dict[str, Any] | None = None
) -> TopdownPoseEstimator:
    """A model in evaluation mode."""
    head = dict(type='hrnet_plugin.HeatmapHead', in_channels=channels, out_channels=17)
    model = revert_sync_batchnorm(TopdownPoseEstimator(backbone, neck, head))
    return randomised(model.eval())


def norms(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def fused_convs(model: nn.Module) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, FusedConv2d)]


def assert_same(model: nn.Module, form: nn.Module, *shape: int, tolerance: float = 1e-5) -> None:
    """Heatmaps are the same, up to a part of the largest."""
    images = torch.rand(shape, generator=torch.manual_seed(1))
    images = images.to(next(model.parameters()).dtype)
    with torch.inference_mode():
        expected, actual = model(images, None), form(images, None)
    assert expected.std() > 0
    atol = tolerance * float(expected.abs().max())
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize('norm', ['BN', 'SyncBN'])
@pytest.mark.parametrize('structure', SMALL)
def test_outputs_are_the_same_without_norms(structure: str, norm: str) -> None:
    model = estimator(structure, norm)
    before = norms(model)
    fused = fuse_norms(model, torch.rand(1, 3, 64, 96))
    assert norms(model) == before
    assert len(before) > 50
    assert norms(fused) == []
    assert_same(model, fused, 2, 3, 96, 64)


@pytest.mark.parametrize('kind', ['ConcatStreams', 'HRFPN'])
def test_necks(kind: str) -> None:
    """Their norms are folded, and their convolutions replaced, too."""
    backbone = dict(type='hrnet_plugin.HRNet', extra=small_extra('hrnet'), multiscale_output=True)
    neck = dict(type=f'hrnet_plugin.{kind}', in_channels=(8, 16, 32, 64), norm_cfg=BN)
    neck |= dict(mixing=True) if kind == 'ConcatStreams' else dict(out_channels=120, num_outs=1)
    model = with_head(backbone, 120, neck)
    assert norms(model.neck)
    form = to_inference_form(model, torch.rand(1, 3, 64, 96))
    assert norms(form) == []
    convs = [name for name, m in form.neck.named_modules() if isinstance(m, nn.Conv2d)]
    assert fused_convs(form.neck) == convs
    assert convs
    assert_same(model, form, 2, 3, 96, 64)
    assert_same(model, form, 1, 3, 75, 52)


@pytest.fixture(scope='module', params=SMALL)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    """A small model, with norms folded, and its inference form; leave them as they are."""
    model = estimator(request.param)
    image = torch.rand(1, 3, 64, 96)
    return fuse_norms(model, image), to_inference_form(model, image)


class TestSmallModels:
    @pytest.mark.parametrize(
        'shape', [(1, 3, 64, 96), (3, 3, 64, 96), (2, 3, 96, 64), (1, 3, 75, 52)]
    )
    def test_outputs_are_the_same(
        self, pair: tuple[nn.Module, nn.Module], shape: tuple[int, ...]
    ) -> None:
        model, form = pair
        assert_same(model, form, *shape)
        assert_same(model, deepcopy(form).to(memory_format=torch.channels_last), *shape)

    def test_every_layer_is_replaced(self, pair: tuple[nn.Module, nn.Module]) -> None:
        _, form = pair
        assert not {BasicBlock, Bottleneck, WindowAttention} & {type(m) for m in form.modules()}
        assert norms(form) == []
        convs = [name for name, m in form.named_modules() if isinstance(m, nn.Conv2d)]
        assert len(convs) > 50
        assert fused_convs(form) == convs
        ran = operations(form, torch.rand(3, 3, 64, 96), None)
        assert ran[CONV] > 0
        assert ran[LINEAR] > 0
        assert ran['aten::convolution'] == 0
        assert ran['aten::relu_'] + ran['aten::gelu'] == 0

    def test_names_and_values_in_the_state_dict_stay(
        self, pair: tuple[nn.Module, nn.Module]
    ) -> None:
        model, form = (m.state_dict() for m in pair)
        assert model.keys() == form.keys()
        assert all(torch.equal(model[name], form[name]) for name in model)

    @pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
    def test_moves_to_other_dtypes_and_back(
        self, pair: tuple[nn.Module, nn.Module], dtype: torch.dtype
    ) -> None:
        model, form = (deepcopy(m).to(dtype) for m in pair)
        ran = operations(form, torch.rand(3, 3, 64, 96).to(dtype), None)
        assert ran[CONV] + ran[LINEAR] == 0
        assert_same(model, form, 2, 3, 64, 96, tolerance=1e-12)
        assert_same(model.float(), form.float(), 2, 3, 64, 96)
        assert operations(form, torch.rand(3, 3, 64, 96), None)[CONV] > 0

    def test_moves_to_other_devices(self, pair: tuple[nn.Module, nn.Module]) -> None:
        form = deepcopy(pair[1]).to('meta')
        assert form(torch.rand(2, 3, 64, 96, device='meta'), None).device.type == 'meta'

    def test_copies_and_pickles(self, pair: tuple[nn.Module, nn.Module]) -> None:
        model, form = pair
        for copy in (deepcopy(form), pickle.loads(pickle.dumps(form))):
            assert_same(model, copy, 2, 3, 64, 96)
            assert operations(copy, torch.rand(3, 3, 64, 96), None)[CONV] > 0

    def test_loads_other_weights(self, pair: tuple[nn.Module, nn.Module]) -> None:
        model, form = (deepcopy(m) for m in pair)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.1)
        form.load_state_dict(model.state_dict())
        assert_same(model, form, 2, 3, 64, 96)

    def test_compiles_once_for_all_batches(self, pair: tuple[nn.Module, nn.Module]) -> None:
        model, form = pair
        graphs = []

        def backend(graph: torch.fx.GraphModule, _: Sequence[Tensor]) -> torch.fx.GraphModule:
            graphs.append(graph)
            return graph

        torch._dynamo.reset()
        compiled = torch.compile(form, backend=backend, fullgraph=True)
        for batch in (2, 3, 5):
            images = torch.rand(batch, 3, 32, 32)
            torch._dynamo.mark_dynamic(images, 0)
            with torch.inference_mode():
                expected = model(images, None)
                actual = compiled(images, None)
            tolerance = 1e-5 * float(expected.abs().max())
            torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)
        assert len(graphs) == 1


@pytest.mark.slow
@pytest.mark.parametrize(('family', 'arch'), [(f.name, arch) for f, arch in PUBLISHED])
def test_published_models(family: str, arch: str) -> None:
    backbone = dict(type=f'hrnet_plugin.{family}', arch=arch)
    model = with_head(backbone, FAMILIES[family].build(arch).out_channels[0])
    form = to_inference_form(model, torch.rand(1, 3, 256, 192))
    assert fused_convs(form)
    assert_same(model, form, 1, 3, 256, 192)
    assert_same(model, form, 2, 3, 128, 128)


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

    def __init__(self, reader: nn.Module) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.conv, self.reader = nn.Conv2d(3, 3, 1), reader

    def forward(self, x: Tensor, _: Sequence[None] | None) -> Tensor:
        x = self.conv(self.first_norm(self.first(x)))
        return x + self.reader(x)


def test_a_model_that_would_change_is_left_alone() -> None:
    model = randomised(Reused(nn.BatchNorm2d(3)).eval())
    image = torch.rand(1, 3, 8, 8)
    assert fuse_norms(model, image) is model
    assert to_inference_form(model, image) is model


def test_norms_are_folded_where_the_form_would_change_outputs() -> None:
    model = randomised(Reused(nn.ReLU()).eval())
    form = to_inference_form(model, torch.rand(1, 3, 8, 8) - 0.5)
    assert norms(form) == []
    assert fused_convs(form) == []
    assert type(form.reader) is nn.ReLU
    assert_same(model, form, 2, 3, 8, 8)


class Chain(nn.Module):
    """Modules one after the other."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.chain = nn.Sequential(*modules)

    def forward(self, x: Tensor, _: Sequence[None] | None) -> Tensor:
        return self.chain(x)


def hooked(module: nn.Module) -> nn.Module:
    module.register_forward_hook(lambda m, x, y: y + 1)
    return module


class OwnBlock(BasicBlock):
    """A residual block that does something else."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


class OwnConv(nn.Conv2d):
    """A convolution that does something else."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


SHARED = nn.ReLU()
SHARED_CONV = nn.Conv2d(3, 3, 3)


# Modules from 3 channels to 4, and the activations of the convolutions that are fused.
FUSED: dict[str, tuple[list[nn.Module], list[str]]] = {
    'ReLU': ([nn.Conv2d(3, 4, 3), nn.ReLU()], ['relu']),
    'GELU': ([nn.Conv2d(3, 4, 1), nn.GELU()], ['gelu']),
    'approximate GELU': ([nn.Conv2d(3, 4, 3), nn.GELU('tanh')], ['none']),
    'ReLU6': ([nn.Conv2d(3, 4, 3), nn.ReLU6()], ['none']),
    'two activations': ([nn.Conv2d(3, 4, 3), nn.ReLU(True), nn.GELU()], ['none']),
    'ReLU with a hook': ([nn.Conv2d(3, 4, 3), hooked(nn.ReLU())], ['none']),
    'convolution with a hook': ([hooked(nn.Conv2d(3, 4, 3)), nn.ReLU()], []),
    'subclass': ([OwnConv(3, 4, 3), nn.ReLU()], []),
    # Its convolutions are fused one by one.
    'subclass of a block': ([nn.Conv2d(3, 4, 1), OwnBlock(4, 4, norm_cfg=BN)], ['none'] * 3),
    'reflected padding': ([nn.Conv2d(3, 4, 3, padding=1, padding_mode='reflect')], []),
    'padding as a word': ([nn.Conv2d(3, 4, 3, padding='same')], []),
    'shared ReLU': ([nn.Conv2d(3, 4, 1), SHARED, nn.Conv2d(4, 4, 1), SHARED], ['none', 'none']),
    'shared convolution': (
        [SHARED_CONV, nn.ReLU(), SHARED_CONV, nn.Conv2d(3, 4, 1)],
        ['none', 'none'],
    ),
}


@pytest.mark.parametrize('name', FUSED)
def test_what_is_fused(name: str) -> None:
    modules, expected = FUSED[name]
    # The last one is fused in any case: nothing before it makes the whole form fall back.
    model = Chain(*modules, nn.Conv2d(4, 4, 1)).eval()
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    form = to_inference_form(model, torch.rand(1, 3, 9, 9) - 0.5)
    convs = [m for m in form.modules() if isinstance(m, FusedConv2d)]
    assert [conv.activation for conv in convs] == [*expected, 'none']
    assert_same(model, form, 2, 3, 9, 9)


@pytest.mark.parametrize('structure', ['hrnet', 'hrformer'])
def test_hooks_of_blocks_stay(structure: str) -> None:
    model = estimator(structure)
    blocks = [m for m in model.modules() if type(m).__name__ in ('Bottleneck', 'WindowAttention')]
    calls = []
    for block in blocks:
        block.register_forward_hook(lambda m, x, y: calls.append(m))
    form = to_inference_form(model, torch.rand(1, 3, 32, 32))
    kinds = (FusedResidual, FastWindowAttention)
    assert any(isinstance(m, kinds) for m in form.modules()) == (structure == 'hrnet')
    calls.clear()
    form(torch.rand(1, 3, 32, 32), None)
    assert len(calls) == len(blocks) > 0


def test_plain_operations_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: False)
    model = estimator('hrnet')
    form = to_inference_form(model, torch.rand(1, 3, 32, 32))
    assert fused_convs(form)
    ran = operations(form, torch.rand(2, 3, 32, 32), None)
    assert ran['aten::convolution'] == len(fused_convs(form))
    assert ran[CONV] + ran[LINEAR] == 0
    assert_same(model, form, 2, 3, 32, 32)
