"""The inference form of a model: the same outputs in less time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple, TypeVar

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .archs import Size
from .layers import BasicBlock, Bottleneck
from .layers.inference import Activation, FastWindowAttention, FusedConv2d, FusedResidual
from .layers.window_attention import WindowAttention

TOLERANCE = 1e-4  # of the largest output

M = TypeVar('M', bound=nn.Module)


def to_inference_form(model: BaseModel, image: Tensor) -> BaseModel:
    """Rewrite a model to run faster on CPUs, where outputs stay the same.

    Batch norms are folded, as :func:`fuse_norms` does, and convolutions, residual blocks and
    window attention become layers of :mod:`hrnet_plugin.models.layers.inference`. The form can be
    compiled, copied, pickled and moved to another device or dtype, where it runs as a model with
    folded norms; names of parameters, batch size and image size stay as they are.

    Args:
        model: Pose estimator in evaluation mode; it is not changed.
        image: Image to run it on, (N, 3, H, W).

    Returns:
        A copy; if any output of it differs by more than 1e-4 of the largest one, what
        :func:`fuse_norms` returns.
    """
    form = _fold_norms(model, image)
    _replace_layers(form, image)
    return form if _same_outputs(model, form, image) else fuse_norms(model, image)


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
    fused = _fold_norms(model, image)
    return fused if _same_outputs(model, fused, image) else model


def tensors(output: Any) -> Iterator[Tensor]:
    """Iterate over the tensors of a head's output: in tuples, lists and dicts, or a single one."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        yield from tensors(list(output.values()))
    elif isinstance(output, (tuple, list)):
        for part in output:
            yield from tensors(part)


def _fold_norms(model: BaseModel, image: Tensor) -> BaseModel:
    """Copy a model and fold all norms that follow a convolution."""
    fused = deepcopy(model)
    new: dict[nn.Module, nn.Module] = {}
    # Not BatchNorm2d only: MMEngine turns SyncBN into a class of its own.
    for conv, norm in _trace(fused, image, _BatchNorm).pairs:
        if isinstance(norm, _BatchNorm) and norm.affine and norm.track_running_stats:
            new |= {conv: fuse_conv_bn_eval(conv, norm), norm: nn.Identity()}
    _replace(fused, new)
    return fused


def _replace_layers(model: BaseModel, image: Tensor) -> None:
    """Replace layers by those of the inference form."""
    run = _trace(model, image, nn.ReLU, nn.GELU)
    sizes = {conv: size for conv, size in run.sizes.items() if _can_fuse(conv)}
    activations: dict[nn.Conv2d, Activation] = {}
    new: dict[nn.Module, nn.Module] = {}
    for conv, module in run.pairs:
        activation = _activation(module)
        if conv in sizes and activation and not _has_hooks(module):
            activations[conv] = activation
            new[module] = nn.Identity()
    for block in _find(model, BasicBlock, Bottleneck):
        layers = [(getattr(block, conv), getattr(block, norm)) for conv, norm in block.layer_names]
        if all(conv in sizes and isinstance(norm, nn.Identity) for conv, norm in layers):
            new[block] = FusedResidual(block, sizes)
    for attention in _find(model, WindowAttention):
        new[attention] = FastWindowAttention(attention)
    _replace(model, new)
    _replace(
        model,
        {
            conv: FusedConv2d(conv, activations.get(conv, 'none'), sizes[conv])
            for conv in _find(model, nn.Conv2d)
            if conv in sizes
        },
    )


def _can_fuse(conv: nn.Conv2d) -> bool:
    """Whether :class:`FusedConv2d` can replace a convolution."""
    has_numbers = conv.padding_mode == 'zeros' and not isinstance(conv.padding, str)
    return type(conv) is nn.Conv2d and has_numbers and not _has_hooks(conv)


def _activation(module: nn.Module) -> Activation | None:
    """Return the name of an activation that :class:`FusedConv2d` can apply."""
    if isinstance(module, nn.GELU):
        return 'gelu' if module.approximate == 'none' else None
    return 'relu' if isinstance(module, nn.ReLU) else None


def _has_hooks(module: nn.Module) -> bool:
    """Whether a module has hooks, which a module in its place would not run."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _find(model: nn.Module, *kinds: type[M]) -> list[M]:
    """Find the modules of these very classes, without hooks."""
    modules = [m for m in model.modules() if isinstance(m, kinds) and type(m) in kinds]
    return [m for m in modules if not _has_hooks(m)]


def _same_outputs(model: BaseModel, other: BaseModel, image: Tensor) -> bool:
    pairs = zip(_raw_outputs(model, image), _raw_outputs(other, image))
    return all((a - b).abs().max() <= TOLERANCE * a.abs().max() for a, b in pairs)


@torch.inference_mode()
def _raw_outputs(model: BaseModel, image: Tensor) -> list[Tensor]:
    """Run a model without decoding its outputs."""
    return list(tensors(model(image, None)))


class Trace(NamedTuple):
    """What a run of a model shows.

    Attributes:
        pairs: Convolutions, and the one module that reads their output, where each runs once.
        sizes: (H, W) of the first map that each convolution reads.
    """

    pairs: list[tuple[nn.Conv2d, nn.Module]]
    sizes: dict[nn.Conv2d, Size]


def _trace(model: BaseModel, image: Tensor, *readers: type[nn.Module]) -> Trace:
    """Run a model and see which modules of some classes read the outputs of convolutions.

    A convolution with two of them has none: what works in place returns the tensor that it reads.
    """
    sources: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # a tensor that lives keeps its id
    sizes: dict[nn.Conv2d, Size] = {}
    runs: Counter[nn.Module] = Counter()
    pairs: list[tuple[nn.Conv2d, nn.Module]] = []

    def after_conv(conv: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        runs[conv] += 1
        sources[id(output)] = conv, output
        sizes.setdefault(conv, (inputs[0].shape[-2], inputs[0].shape[-1]))

    def before_reader(reader: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        runs[reader] += 1
        if inputs and id(inputs[0]) in sources:
            pairs.append((sources[id(inputs[0])][0], reader))

    hooks = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(after_conv))
        elif isinstance(module, readers):
            hooks.append(module.register_forward_pre_hook(before_reader))
    try:
        _raw_outputs(model, image)
    finally:
        for hook in hooks:
            hook.remove()
    runs.update(conv for conv, _ in pairs)
    pairs = [(conv, reader) for conv, reader in pairs if runs[conv] == 2 and runs[reader] == 1]
    return Trace(pairs, sizes)


def _replace(model: nn.Module, new: Mapping[nn.Module, nn.Module]) -> None:
    """Replace modules wherever they occur."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if child in new:
                setattr(parent, name, new[child])
