"""What the tests of all backbones measure and compare."""

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
                nn.init.uniform_(tensor, 0.5, 1.5)
    return model


def assert_close(ours: Tensor, stock: Tensor) -> None:
    ours, stock = ours.double(), stock.double()  # batch counters are whole numbers
    assert (ours - stock).norm() <= 1e-6 * stock.norm()
