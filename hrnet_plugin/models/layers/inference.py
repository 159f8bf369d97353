"""Layers of the inference form, which run faster on CPUs and share their parameters.

They keep tensors that are computed from parameters: weights in the order that oneDNN's kernels
read, and position biases. Elsewhere (on other devices and dtypes, with gradients or autocast, in
compilers and exporters) they run as the layers that they replace.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..archs import Size
from .residual import ResidualBlock
from .window_attention import WindowAttention

Activation = Literal['none', 'relu', 'gelu']
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    'none': lambda x: x,
    'relu': lambda x: F.relu(x, inplace=True),
    'gelu': F.gelu,
}
# For one sample with at most so many numbers, PyTorch's own 1x1 convolution is faster than
# oneDNN's; PyTorch draws the line at the same number.
SMALL_INPUT = 20480


class PreparedModule(nn.Module):
    """A module with tensors that are computed from its parameters, and not saved with them.

    They are computed anew when parameters are moved, converted or loaded, and when the module is
    copied or unpickled. After other changes of parameters call :meth:`prepare` of each.
    """

    prepared_names: ClassVar[tuple[str, ...]]  # attributes that `prepare` sets

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_load_state_dict_post_hook(_prepare)

    @abstractmethod
    def prepare(self) -> None:
        """Compute the tensors, or set them to None where they are of no use."""

    def _apply(self, *args: Any, **kwargs: Any) -> 'PreparedModule':
        super()._apply(*args, **kwargs)
        self.prepare()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | dict.fromkeys(self.prepared_names)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.prepare()


class FusedConv2d(PreparedModule, nn.Conv2d):
    """A convolution and the activation behind it, with weights reordered for oneDNN.

    PyTorch's convolution reorders its weights in each call. The best order depends on the size of
    the map, not on the batch; maps of another size are convolved with weights in their usual one.
    A 1x1 convolution is a linear layer, which needs no order of its own for each size.

    Args:
        conv: Convolution to replace, padded with zeros whose numbers are given.
        activation: Activation behind it: ``'none'``, ``'relu'`` or ``'gelu'`` (exact).
        size: (H, W) of the maps that it will convolve.
    """

    prepared_names = ('reordered',)

    def __init__(self, conv: nn.Conv2d, activation: Activation, size: Size) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            conv.padding,
            conv.dilation,
            conv.groups,
            conv.bias is not None,
            device='meta',
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.activation: Activation = activation
        self.size = size
        self.options = (self.padding, self.stride, self.dilation, self.groups)
        self.is_linear = self.kernel_size == (1, 1) and self.options == ((0, 0), (1, 1), (1, 1), 1)
        self.train(conv.training)
        self.prepare()

    @torch.no_grad()
    def prepare(self) -> None:
        self.reordered: Tensor | None = None
        weight = self.weight.detach()
        if not runs_onednn(weight):
            return
        if self.is_linear:
            self.reordered = torch.ops.mkldnn._reorder_linear_weight(weight.flatten(1))
        else:
            shape = (1, self.in_channels, *self.size)
            reorder = torch.ops.mkldnn._reorder_convolution_weight
            self.reordered = reorder(weight, *self.options, shape)

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Convolve, add ``shortcut``, if any, and apply the activation.

        Args:
            x: Maps, (N, in_channels, H, W).
            shortcut: Maps of the output's shape.

        Returns:
            Maps, (N, out_channels, H', W').
        """
        # The first condition also keeps compilers from specialising to a batch size.
        if not is_plain_eager() or self.reordered is None or self._is_small(x):
            out = super().forward(x)
            return ACTIVATIONS[self.activation](out if shortcut is None else out + shortcut)
        algorithm = 'none' if self.activation == 'gelu' else ''
        if self.is_linear and shortcut is None:
            op = torch.ops.mkldnn._linear_pointwise.default
            pixels = x.permute(0, 2, 3, 1)
            out = op(pixels, self.reordered, self.bias, self.activation, [], algorithm)
            return out.permute(0, 3, 1, 2)
        is_ordered = not self.is_linear and tuple(x.shape[-2:]) == self.size
        weights = (self.reordered if is_ordered else self.weight, self.bias)
        if shortcut is None:
            op = torch.ops.mkldnn._convolution_pointwise.default
            return op(x, *weights, *self.options, self.activation, [], algorithm)
        op = torch.ops.mkldnn._convolution_pointwise.binary
        activation = self.activation if self.activation == 'relu' else None
        out = op(x, shortcut, *weights, *self.options, 'add', 1.0, activation, [], None)
        return F.gelu(out) if self.activation == 'gelu' else out

    def _is_small(self, x: Tensor) -> bool:
        return self.is_linear and x.shape[0] == 1 and x.numel() <= SMALL_INPUT


class ReorderedLinear(PreparedModule, nn.Linear):
    """A linear layer with weights reordered for oneDNN.

    Args:
        linear: Layer to replace.
    """

    prepared_names = ('reordered',)

    def __init__(self, linear: nn.Linear) -> None:
        has_bias = linear.bias is not None
        super().__init__(linear.in_features, linear.out_features, has_bias, device='meta')
        self.weight, self.bias = linear.weight, linear.bias
        self.train(linear.training)
        self.prepare()

    @torch.no_grad()
    def prepare(self) -> None:
        self.reordered: Tensor | None = None
        if runs_onednn(self.weight):
            reorder = torch.ops.mkldnn._reorder_linear_weight.default
            self.reordered = reorder(self.weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Take (…, in_features) to (…, out_features)."""
        if not is_plain_eager() or self.reordered is None:
            return super().forward(x)
        op = torch.ops.mkldnn._linear_pointwise.default
        return op(x, self.reordered, self.bias, 'none', [], '')


class FusedResidual(nn.Module):
    """A residual block whose convolutions run together with the sum and the ReLUs.

    Args:
        block: Residual block without norms.
        sizes: (H, W) of the maps that each of its convolutions will convolve.
    """

    def __init__(self, block: ResidualBlock, sizes: Mapping[nn.Conv2d, Size]) -> None:
        super().__init__()
        self.conv_names = [name for name, _ in block.layer_names]
        for name in self.conv_names:
            conv = getattr(block, name)
            self.add_module(name, FusedConv2d(conv, 'relu', sizes[conv]))
        self.downsample = block.downsample
        self.train(block.training)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, in_channels, H, W) to (N, out_channels, H, W)."""
        *convs, last = (getattr(self, name) for name in self.conv_names)
        out = x
        for conv in convs:
            out = conv(out)
        return last(out, self.downsample(x))


class FastWindowAttention(PreparedModule, WindowAttention):
    """Window attention of few, larger matrix products, with its bias computed once.

    For windows of 49 tokens, that takes two thirds of the time of PyTorch's fused attention.

    Args:
        attention: Attention to replace.
    """

    prepared_names = ('fixed_bias',)

    def __init__(self, attention: WindowAttention) -> None:
        channels = attention.proj.in_features
        with torch.device('meta'):
            super().__init__(channels, attention.heads, (1, 1), with_rpe=False)
        self.with_rpe = attention.with_rpe
        if self.with_rpe:
            self.relative_position_bias_table = attention.relative_position_bias_table
            self.register_buffer('relative_position_index', attention.relative_position_index)
        self.qkv, self.proj = ReorderedLinear(attention.qkv), ReorderedLinear(attention.proj)
        self.train(attention.training)
        self.prepare()

    @torch.no_grad()
    def prepare(self) -> None:
        self.fixed_bias: Tensor | None = None
        if is_float32_on_cpu(self.qkv.weight):
            bias = self.bias()
            none = self.qkv.weight.new_zeros(1, 1, 1, 1)
            self.fixed_bias = none if bias is None else bias.contiguous()

    def forward(self, windows: Tensor, real: Tensor | None = None) -> Tensor:
        if not is_plain_eager() or self.fixed_bias is None or real is not None:
            return super().forward(windows, real)
        n, length, channels = windows.shape
        qkv = self.qkv(windows).view(n, length, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).flatten(1, 2)
        logits = self.fixed_bias.expand(n, self.heads, length, length)
        logits = logits.clone(memory_format=torch.contiguous_format).flatten(0, 1)
        logits.baddbmm_(query, key.transpose(1, 2), alpha=query.shape[-1] ** -0.5)
        out = torch.bmm(logits.softmax(-1), value).unflatten(0, (n, self.heads))
        return self.proj(out.transpose(1, 2).reshape(n, length, channels))


def is_plain_eager() -> bool:
    """Whether operations run as they are called, without gradients and autocast."""
    return not (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch.is_grad_enabled()
        or torch.is_autocast_enabled('cpu')
    )


def runs_onednn(weight: Tensor) -> bool:
    """Whether PyTorch can run oneDNN's operations with reordered weights for these weights."""
    # Its compiler uses them; they are not documented.
    names = (
        '_reorder_convolution_weight',
        '_convolution_pointwise',
        '_reorder_linear_weight',
        '_linear_pointwise',
    )
    has_operations = all(hasattr(torch.ops.mkldnn, name) for name in names)
    return is_float32_on_cpu(weight) and torch.backends.mkldnn.is_available() and has_operations


def is_float32_on_cpu(x: Tensor) -> bool:
    """Whether kernels of CPUs in single precision run on a tensor."""
    return x.device.type == 'cpu' and x.dtype == torch.float32


def _prepare(module: PreparedModule, _: Any) -> None:
    module.prepare()
