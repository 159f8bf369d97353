"""Layers of the inference form against the layers that they replace."""

import pickle
from copy import deepcopy
from typing import Any

import pytest
import torch
from support.model_checks import randomised
from support.operations import Recorder, operations
from torch import Tensor, nn
from torch.nn import functional as F

from hrnet_plugin.models.layers import BasicBlock, Bottleneck
from hrnet_plugin.models.layers.inference import (
    FastWindowAttention,
    FusedConv2d,
    FusedResidual,
    PreparedModule,
    ReorderedLinear,
)
from hrnet_plugin.models.layers.window_attention import WindowAttention

CONV = 'mkldnn::_convolution_pointwise'
LINEAR = 'mkldnn::_linear_pointwise'
SIZE = (12, 9)
ACTIVATIONS = {'none': nn.Identity(), 'relu': nn.ReLU(), 'gelu': nn.GELU()}
CONVS: dict[str, dict[str, Any]] = {
    'dense': dict(kernel_size=3, padding=1),
    'strided': dict(kernel_size=3, padding=1, stride=2),
    'dilated': dict(kernel_size=3, padding=2, dilation=2),
    'oblong': dict(kernel_size=(1, 3), padding=(0, 1)),
    'depthwise': dict(kernel_size=3, padding=1, groups=4),
    'grouped': dict(kernel_size=1, groups=2),
    'pointwise': dict(kernel_size=1),
    'strided pointwise': dict(kernel_size=1, stride=2),
    'padded pointwise': dict(kernel_size=1, padding=1),
    'without bias': dict(kernel_size=3, bias=False),
    'pointwise without bias': dict(kernel_size=1, bias=False),
}


def conv(**options: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(4, 8, **options)


def maps(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.manual_seed(1))


def run(module: nn.Module, *inputs: Tensor) -> Tensor:
    with torch.inference_mode():
        return module(*inputs)


def assert_close(actual: Tensor, expected: Tensor) -> None:
    assert expected.std() > 0
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize('activation', ACTIVATIONS)
@pytest.mark.parametrize('kind', CONVS)
class TestFusedConv2d:
    @pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
    def test_equals_convolution_and_activation(
        self, kind: str, activation: Any, layout: torch.memory_format
    ) -> None:
        plain = conv(**CONVS[kind])
        fused = FusedConv2d(plain, activation, SIZE)
        for shape in [(1, 4, *SIZE), (3, 4, *SIZE), (2, 4, 7, 20), (1, 4, 90, 80)]:
            x = maps(*shape).contiguous(memory_format=layout)
            expected = ACTIVATIONS[activation](plain(x))
            assert_close(run(fused, x), expected)
            assert_close(run(deepcopy(fused).to(memory_format=layout), x), expected)

    def test_adds_a_shortcut_before_the_activation(self, kind: str, activation: Any) -> None:
        plain = conv(**CONVS[kind])
        fused = FusedConv2d(plain, activation, SIZE)
        for shape in [(1, 4, *SIZE), (3, 4, *SIZE), (2, 4, 7, 20)]:
            x = maps(*shape)
            out = plain(x)
            shortcut = maps(*out.shape) + 0.5
            before = shortcut.clone()
            assert_close(run(fused, x, shortcut), ACTIVATIONS[activation](out + shortcut))
            assert torch.equal(shortcut, before)

    def test_gradients_are_those_of_the_convolution(self, kind: str, activation: Any) -> None:
        plain = conv(**CONVS[kind])
        fused = FusedConv2d(plain, activation, SIZE)
        x = maps(2, 4, *SIZE).requires_grad_()
        shortcut = maps(*plain(x).shape)
        leaves = [x, *plain.parameters()]
        expected = torch.autograd.grad(
            ACTIVATIONS[activation](plain(x) + shortcut).square().sum(), leaves
        )
        actual = torch.autograd.grad(fused(x, shortcut).square().sum(), leaves)
        for a, b in zip(actual, expected):
            assert_close(a, b)


@pytest.mark.parametrize(('kind', 'operation'), [('dense', CONV), ('pointwise', LINEAR)])
def test_one_operation_runs(kind: str, operation: str) -> None:
    fused = FusedConv2d(conv(**CONVS[kind]), 'relu', SIZE)
    views = {'aten::permute'}
    x = maps(3, 4, *SIZE).contiguous(memory_format=torch.channels_last)
    assert {*operations(fused, x)} - views == {operation}


def test_small_maps_use_the_faster_kernel() -> None:
    fused = FusedConv2d(conv(kernel_size=1), 'none', SIZE)
    for height, is_small in ((512, True), (513, False)):
        ran = operations(fused, maps(1, 4, height, 10))
        assert ran['aten::convolution'] == is_small
        assert ran[LINEAR] == (not is_small)


def test_weights_are_reordered_for_one_size() -> None:
    """Of weights for another size, oneDNN makes a copy in each call that takes far longer."""
    fused = FusedConv2d(conv(kernel_size=3), 'none', SIZE)
    assert fused.reordered is not None
    assert fused.reordered.layout == torch._mkldnn
    for size, is_reordered in ((SIZE, True), ((12, 10), False)):
        with torch.no_grad(), Recorder() as recorder:
            fused(maps(2, 4, *size))
        (arguments,) = [args for name, args in recorder.calls if name == CONV]
        assert any(x is fused.reordered for x in arguments) == is_reordered
        assert any(x is fused.weight for x in arguments) == (not is_reordered)


def test_a_wrong_number_of_channels_is_an_error() -> None:
    for kind in ('dense', 'pointwise', 'depthwise'):
        fused = FusedConv2d(conv(**CONVS[kind]), 'none', SIZE)
        with pytest.raises(RuntimeError):
            run(fused, maps(2, 3, *SIZE))


def test_an_empty_batch_stays_empty() -> None:
    for kind in ('dense', 'pointwise'):
        fused = FusedConv2d(conv(**CONVS[kind]), 'relu', SIZE)
        assert run(fused, maps(0, 4, *SIZE)).shape[:2] == (0, 8)


def attention(with_rpe: bool = True) -> WindowAttention:
    torch.manual_seed(0)
    return randomised(WindowAttention(8, 2, (3, 4), with_rpe=with_rpe))


LAYERS: dict[str, tuple[nn.Module, PreparedModule, Tensor]] = {}
for _kind in ('dense', 'pointwise', 'depthwise'):
    _conv = conv(**CONVS[_kind])
    LAYERS[_kind] = (_conv, FusedConv2d(_conv, 'none', SIZE), maps(2, 4, *SIZE))
_linear = nn.Linear(8, 6)
LAYERS['linear'] = (_linear, ReorderedLinear(_linear), maps(2, 5, 8))
LAYERS['attention'] = (attention(), FastWindowAttention(attention()), maps(6, 12, 8))


@pytest.mark.parametrize('name', LAYERS)
class TestPreparedModule:
    def test_loads_and_moves(self, name: str) -> None:
        plain, prepared, x = (deepcopy(each) for each in LAYERS[name])
        for tensor in plain.parameters():
            nn.init.normal_(tensor)
        prepared.load_state_dict(plain.state_dict(), strict=True)
        assert_close(run(prepared, x), run(plain, x))
        assert_close(run(prepared.double(), x.double()), run(plain.double(), x.double()))
        assert_close(run(prepared.float(), x), run(plain.float(), x))

    def test_copies_and_pickles(self, name: str) -> None:
        plain, prepared, x = LAYERS[name]
        for copy in (deepcopy(prepared), pickle.loads(pickle.dumps(prepared))):
            assert operations(copy, x) == operations(prepared, x)
            assert_close(run(copy, x), run(plain, x))
            # of its own parameters
            for tensor in copy.parameters():
                nn.init.zeros_(tensor)
            for module in copy.modules():
                if isinstance(module, PreparedModule):
                    module.prepare()
            assert run(copy, x).eq(0).all()
        assert_close(run(prepared, x), run(plain, x))

    def test_plain_operations_elsewhere(self, name: str) -> None:
        _, prepared, x = LAYERS[name]

        def fast(module: nn.Module, x: Tensor) -> int:
            ran = operations(module, x)
            return ran[CONV] + ran[LINEAR] + ran['aten::baddbmm_']

        assert fast(prepared, x) > 0
        assert fast(deepcopy(prepared).double(), x.double()) == 0
        with torch.autocast('cpu', torch.bfloat16):
            assert fast(prepared, x) == 0
            assert run(prepared, x).dtype == torch.bfloat16
        prepared(x.clone().requires_grad_()).sum().backward()
        exported = torch.export.export(prepared, (x,)).graph
        assert not any('mkldnn' in str(node.target) for node in exported.nodes)
        traced = torch.jit.trace(prepared, x)
        assert 'mkldnn' not in str(traced.inlined_graph)


@pytest.mark.parametrize('with_rpe', [True, False])
def test_attention_is_the_same(with_rpe: bool) -> None:
    plain = attention(with_rpe)
    fast = FastWindowAttention(plain)
    for windows in (1, 6):
        x = maps(windows, 12, 8)
        for _ in range(2):  # the bias stays as it is
            assert_close(run(fast, x), run(plain, x))
    assert operations(fast, x)['aten::baddbmm_'] == 1
    real = torch.rand(3, 12) > 0.3
    assert_close(run(fast, x, real), run(plain, x, real))


@pytest.mark.parametrize('channels', [16, 8])
@pytest.mark.parametrize('block', [BasicBlock, Bottleneck])
def test_residual_block_is_the_same(block: type[BasicBlock | Bottleneck], channels: int) -> None:
    torch.manual_seed(0)
    plain = block(channels, 16, norm_cfg=dict(type='BN'))
    for _, norm in plain.layer_names:
        setattr(plain, norm, nn.Identity())
    plain.eval()
    sizes = {m: SIZE for m in plain.modules() if isinstance(m, nn.Conv2d)}
    fused = FusedResidual(plain, sizes)
    x = maps(2, channels, *SIZE)
    before = x.clone()
    assert_close(run(fused, x), run(plain, x))
    assert torch.equal(x, before)
    ran = operations(fused, x)
    assert ran['aten::add'] + ran['aten::relu_'] == 0
    assert_close(fused(x), F.relu(plain.residual(x)))
