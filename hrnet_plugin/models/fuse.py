"""Batch norms that have become part of the convolutions before them, for inference."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4  # of the largest output


def fuse_norms(model: BaseModel, image: Tensor) -> BaseModel:
    """A model with the same outputs, whose batch norms take no time.

    Which norm follows which convolution is seen from what happens to an image, not guessed from
    the order in which a module lists them.

    Args:
        model: a pose estimator in evaluation mode.
        image: (N, 3, h, w), to try it on.

    Returns:
        A copy; or the model itself, if the outputs of the copy differ.
    """
    fused = deepcopy(model)
    for conv, norm in followed_by_norm(fused, image):
        replace(fused, conv, fuse_conv_bn_eval(conv, norm))
        replace(fused, norm, nn.Identity())
    pairs = zip(outputs(model, image), outputs(fused, image))
    same = all((a - b).abs().max() <= TOLERANCE * a.abs().max() for a, b in pairs)
    return fused if same else model


@torch.inference_mode()
def outputs(model: BaseModel, image: Tensor) -> list[Tensor]:
    """What a model puts out, before it is decoded."""
    return list(tensors(model(image, None)))


def tensors(value: Any) -> Iterator[Tensor]:
    """Flatten what a head puts out: a tensor, or tensors in tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors(list(value.values()))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors(part)


def followed_by_norm(model: BaseModel, image: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions whose output goes into a batch norm, each of the two used once."""
    convs: list[tuple[nn.Conv2d, Tensor]] = []
    norms: list[tuple[nn.BatchNorm2d, Tensor]] = []
    hooks = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(lambda m, _, y: convs.append((m, y))))
        elif isinstance(module, nn.BatchNorm2d) and module.affine and module.track_running_stats:
            hooks.append(module.register_forward_hook(lambda m, x, _: norms.append((m, x[0]))))
    try:
        outputs(model, image)
    finally:
        for hook in hooks:
            hook.remove()
    used = [module for module, _ in (*convs, *norms)]
    maker = {id(y): conv for conv, y in convs}
    pairs = [(maker[id(x)], norm) for norm, x in norms if id(x) in maker]
    return [pair for pair in pairs if all(used.count(module) == 1 for module in pair)]


def replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put a module in the place of another, wherever that is."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
