"""What the tests of all backbones measure and compare."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


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


def randomised(model: nn.Module) -> nn.Module:
    """Norm statistics and weights that differ everywhere, so that a mix-up shows."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 1.5)
    return model


def assert_close(ours: Tensor, stock: Tensor) -> None:
    ours, stock = ours.double(), stock.double()  # batch counters are whole numbers
    assert (ours - stock).norm() <= 1e-6 * stock.norm()


def assert_recomputing_saves(
    make: Callable[[bool], nn.Module], x: Tensor | list[Tensor], at_most: float
) -> None:
    """``make(with_cp)`` keeps less for the backward pass with ``with_cp``, and changes nothing.

    Args:
        make: builds a model or a block; what it puts out is a tensor or several.
        x: its input.
        at_most: how much of the memory may be left.
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
        torch.stack([y.square().mean() for y in outs]).sum().backward()
        results.append((outs, [p.grad for p in model.parameters()], dict(model.named_buffers())))
    assert kept[1] < at_most * kept[0]
    torch.testing.assert_close(results[1], results[0])
