"""What the tests of all backbones build, measure and compare."""

import copy
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import mmpose.models.backbones as stock_backbones
import torch
from torch import Tensor, nn

from hrnet_plugin import models
from hrnet_plugin.models.archs import LITEHRNET_ARCHS, HRFormerArch, HRNetArch, LiteHRNetArch
from hrnet_plugin.models.families import FAMILIES

# The smallest row of each structure: (family, row)
SMALL: dict[str, tuple[str, Any]] = {
    'hrnet': ('HRNet', HRNetArch(width=8, modules=(1, 2, 1), blocks=1, layer1=(8, 1))),
    'lite': ('LiteHRNet', LiteHRNetArch(width=16, modules=(1, 2, 1), kind='LITE')),
    'naive': ('LiteHRNet', LiteHRNetArch(width=16, modules=(1, 2, 1), kind='NAIVE')),
    'hrformer': (
        'HRFormer',
        HRFormerArch(width=8, heads=1, drop_path_rate=0.0, modules=(1, 2, 1)),
    ),
}
Pair = tuple[nn.Module, nn.Module]  # ours, stock's


def small_extra(structure: str, **changes: Any) -> dict[str, Any]:
    """The smallest architecture as stock configs write it, with ``changes`` of its entries."""
    return SMALL[structure][1].extra | changes


def one_block_lite(**changes: Any) -> dict[str, Any]:
    """A Lite-HRNet of one module of one block in each stage, with changes of its ``extra``."""
    extra = LITEHRNET_ARCHS['lite-18'].extra
    extra['stages_spec'] |= dict(num_modules=(1, 1, 1), num_blocks=(1, 1, 1))
    for part in (extra, extra['stem'], extra['stages_spec']):
        part.update({name: value for name, value in changes.items() if name in part})
    return extra


def build(family: str, extra: dict[str, Any], **options: Any) -> nn.Module:
    """Our backbone with seeded weights."""
    torch.manual_seed(0)
    return getattr(models, family)(extra, **options)


@cache
def published(family: str, arch: str) -> nn.Module:
    """A published backbone without weights, in evaluation; leave it as it is."""
    with torch.device('meta'):
        return FAMILIES[family].build(arch).eval()


def build_stock(family: str, extra: dict[str, Any], **options: Any) -> nn.Module:
    """Stock's backbone, which writes into the ``extra`` that it is given."""
    return getattr(stock_backbones, family)(copy.deepcopy(extra), **options)


def make_pair(family: str, extra: dict[str, Any], **options: Any) -> Pair:
    """Our backbone and stock's, returning all streams, with the same weights in float64."""
    if family != 'LiteHRNet':
        extra['stage4']['multiscale_output'] = True
    stock = randomised(build_stock(family, extra).double())
    ours = getattr(models, family)(extra, multiscale_output=True, **options).double()
    ours.load_state_dict(stock.state_dict(), strict=True)
    return ours, stock


def randomised(model: nn.Module) -> nn.Module:
    """Norms and position biases that differ everywhere, so that a mix-up shows."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.is_floating_point():
                    nn.init.uniform_(tensor, 0.5, 1.5)
    for name, parameter in model.named_parameters():
        if name.endswith('relative_position_bias_table'):
            nn.init.normal_(parameter)
    return model


def image(size: tuple[int, int], batch: int = 1) -> Tensor:
    """Images, (batch, 3, *size), in float64."""
    generator = torch.manual_seed(1)
    return torch.randn(batch, 3, *size, dtype=torch.float64, generator=generator)


def all_streams(model: nn.Module, x: Tensor) -> list[Tensor]:
    """All streams of a backbone, also those that stock's Lite-HRNet computes and leaves out."""
    if not isinstance(model, stock_backbones.LiteHRNet):
        return list(model(x))
    last = model.head_layer if model.with_head else getattr(model, f'stage{model.num_stages - 1}')
    streams: list[Tensor] = []
    hook = last.register_forward_hook(lambda _, __, out: streams.extend(out))
    (first,) = model(x)
    hook.remove()
    assert torch.equal(first, streams[0])
    return streams


def assert_same_outputs(pair: Pair, x: Tensor) -> list[Tensor]:
    """All streams of both in evaluation are the same; return ours."""
    for model in pair:
        model.eval()
    with torch.no_grad():
        ours, stock = (all_streams(model, x) for model in pair)
    assert len(ours) == len(stock) > 1
    for a, b in zip(ours, stock):
        assert a.std() > 1e-3
        assert_close(a, b)
    return ours


def assert_same_training(pair: Pair, x: Tensor) -> None:
    """Streams, gradients and statistics of a step are the same, with the same random numbers."""
    streams = []
    for model in pair:
        model.train()
        model.zero_grad()
        torch.manual_seed(2)
        streams.append(all_streams(model, x))
        loss_of(streams[-1]).backward()
    ours, stock = pair
    for a, b in zip(*streams, strict=True):
        assert_close(a, b)
    expected = gradients(stock)
    # A bias before a batch norm has no effect: its gradient is rounding.
    rounding = 1e-12 * max(grad.norm() for grad in expected.values())
    effective = [name for name, grad in expected.items() if grad.norm() > rounding]
    assert len(expected) >= len(effective) > 0.7 * len(expected)
    ours_gradients = gradients(ours)
    assert len(expected) == len(ours_gradients)
    for name, gradient in ours_gradients.items():
        error = (gradient - expected[name]).norm()
        assert error <= max(1e-6 * expected[name].norm(), rounding), name
    buffers = dict(stock.named_buffers())
    assert buffers
    for name, buffer in ours.named_buffers():
        assert_close(buffer, buffers[name])


def loss_of(streams: Sequence[Tensor]) -> Tensor:
    """Sum of the mean squares of all streams, so that each has a gradient."""
    return torch.stack([y.square().mean() for y in streams]).sum()


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Gradients of all parameters, by name."""
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert len(found) == len(list(model.parameters()))
    return found


def assert_close(ours: Tensor, stock: Tensor) -> None:
    ours, stock = ours.double(), stock.double()  # batch counters are whole numbers
    assert (ours - stock).norm() <= 1e-6 * stock.norm()


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict."""
    return {name: tuple(t.shape) for name, t in model.state_dict().items()}


def assert_same_frozen(ours: nn.Module, stock: nn.Module) -> None:
    """In training, the same parameters have no gradient and the same norms hold statistics."""
    ours.train()
    stock.train()
    expected = {n: p.requires_grad for n, p in stock.named_parameters()}
    assert {n: p.requires_grad for n, p in ours.named_parameters()} == expected
    norms = {n: m.training for n, m in stock.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert {n: ours.get_submodule(n).training for n in norms} == norms


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def macs(model: nn.Module, x: Tensor) -> int:
    """Multiply-accumulates of all convolutions and linear layers, counted as they run."""
    total = 0

    def count(module: nn.Conv2d | nn.Linear, _: tuple[Tensor], out: Tensor) -> None:
        nonlocal total
        total += out.numel() * module.weight[0].numel()

    counted = (nn.Conv2d, nn.Linear)
    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, counted)]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return total


def assert_recomputing_saves(
    make: Callable[[bool], nn.Module], x: Tensor | list[Tensor], at_most: float
) -> None:
    """``make(with_cp)`` keeps less for the backward pass with ``with_cp``, and changes nothing.

    Args:
        make: Builds a model or a block, which returns a tensor or several.
        x: Its input.
        at_most: Part of the memory that may be left.
    """
    reference = make(False)
    kept, results = [], []
    for with_cp in (False, True):
        model = make(with_cp)
        model.load_state_dict(reference.state_dict())
        size = 0

        def pack(t: Tensor) -> Tensor:
            nonlocal size
            size += t.numel()
            return t

        torch.manual_seed(0)  # of drop path
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            out = model(x)
        kept.append(size)
        outs = [out] if isinstance(out, Tensor) else list(out)
        loss_of(outs).backward()
        results.append((outs, [p.grad for p in model.parameters()], dict(model.named_buffers())))
    assert kept[1] < at_most * kept[0]
    torch.testing.assert_close(results[1], results[0])
