"""The inference form of a model: batch norms folded into the convolutions before them."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4  # of the largest output


def fuse_norms(model: BaseModel, image: Tensor) -> BaseModel:
    """Fold batch norms into the convolutions before them, where outputs stay the same.

    A norm is folded if, for the given image, its input is the output of a convolution; the order
    in which modules are registered does not matter.

    Args:
        model: Pose estimator in evaluation mode; it is not changed.
        image: Image to run it on, (N, 3, H, W).

    Returns:
        A copy without the norms that could be folded, or the model itself if any output of the
        copy differs by more than 1e-4 of the largest one.
    """
    fused = deepcopy(model)
    for conv, norm in _conv_norm_pairs(fused, image):
        _replace(fused, conv, fuse_conv_bn_eval(conv, norm))
        _replace(fused, norm, nn.Identity())
    pairs = zip(_raw_outputs(model, image), _raw_outputs(fused, image))
    same = all((a - b).abs().max() <= TOLERANCE * a.abs().max() for a, b in pairs)
    return fused if same else model


def tensors(output: Any) -> Iterator[Tensor]:
    """Iterate over the tensors of a head's output: in tuples, lists and dicts, or a single one."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        yield from tensors(list(output.values()))
    elif isinstance(output, (tuple, list)):
        for part in output:
            yield from tensors(part)


@torch.inference_mode()
def _raw_outputs(model: BaseModel, image: Tensor) -> list[Tensor]:
    """Run a model without decoding its outputs."""
    return list(tensors(model(image, None)))


def _conv_norm_pairs(model: BaseModel, image: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Find convolutions whose output is the input of a norm, where each runs once per image."""
    convs: list[tuple[nn.Conv2d, Tensor]] = []
    norms: list[tuple[nn.BatchNorm2d, Tensor]] = []
    hooks = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(lambda m, _, y: convs.append((m, y))))
        elif isinstance(module, nn.BatchNorm2d) and module.affine and module.track_running_stats:
            hooks.append(module.register_forward_hook(lambda m, x, _: norms.append((m, x[0]))))
    try:
        _raw_outputs(model, image)
    finally:
        for hook in hooks:
            hook.remove()
    used = [module for module, _ in (*convs, *norms)]
    source = {id(y): conv for conv, y in convs}
    pairs = [(source[id(x)], norm) for norm, x in norms if id(x) in source]
    return [pair for pair in pairs if all(used.count(module) == 1 for module in pair)]


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Replace a module wherever it occurs."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
