"""Our necks against stock's: outputs and gradients with copied weights, in float64."""

from typing import Any

import pytest
import torch
from mmdet.models.necks import HRFPN as StockHRFPN
from support.model_checks import (
    assert_close,
    gradients,
    loss_of,
    randomised,
    shapes,
)
from support.optional import is_installed, needs
from torch import Tensor, nn

from hrnet_plugin.models import HRFPN, ClassificationNeck, ConcatStreams

if is_installed('mmpretrain'):
    from mmpretrain.models.necks import HRFuseScales
if is_installed('mmseg'):
    from mmseg.models.decode_heads import FCNHead

pytestmark = pytest.mark.usefixtures('no_default_scope')

CHANNELS = (8, 16, 32, 64)
Streams = tuple[Tensor, ...]


def streams_of(size: tuple[int, int]) -> Streams:
    """Streams of a batch of two images of this size, with gradients, in float64."""
    torch.manual_seed(1)
    return tuple(
        torch.randn(2, c, size[0] // s, size[1] // s, dtype=torch.float64, requires_grad=True)
        for c, s in zip(CHANNELS, (4, 8, 16, 32))
    )


def assert_same(
    ours: nn.Module, stock: nn.Module, size: tuple[int, int] = (96, 128), limit: float = 1e-3
) -> None:
    """The same names, outputs, gradients and statistics, in evaluation and in training."""
    randomised(stock.double())
    ours.double().load_state_dict(stock.state_dict(), strict=True)
    assert shapes(ours) == shapes(stock)
    for training in (False, True):
        outputs, inputs = [], []
        for model in (ours, stock):
            model.train(training)
            model.zero_grad()
            inputs.append(streams_of(size))
            outputs.append(model(inputs[-1]))
            loss_of(outputs[-1]).backward()
        for a, b in zip(*outputs, strict=True):
            assert b.std() > limit
            assert_close(a, b)
        for x, y in zip(*inputs, strict=True):
            assert y.grad.norm() > 0
            assert_close(x.grad, y.grad)
        expected = gradients(stock)
        assert expected
        for name, gradient in gradients(ours).items():
            assert (gradient - expected[name]).norm() <= 1e-6 * expected[name].norm() + 1e-12, name
    buffers = dict(stock.named_buffers())
    for name, buffer in ours.named_buffers():
        assert_close(buffer, buffers[name])


@needs('mmpretrain')
class TestClassification:
    @pytest.mark.parametrize('size', [(64, 96), (224, 224)], ids=str)
    def test_outputs(self, size: tuple[int, int]) -> None:
        assert_same(ClassificationNeck(CHANNELS), HRFuseScales(CHANNELS), size)

    def test_with_norm_and_width(self) -> None:
        """Stock's ``norm_cfg`` reaches the norms outside of its bottlenecks only."""
        norm_cfg = dict(type='BN', momentum=0.3, eps=1e-3)
        stock = HRFuseScales(CHANNELS, out_channels=256, norm_cfg=norm_cfg)
        for module in stock.increase_layers.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum, module.eps = 0.3, 1e-3
        assert_same(ClassificationNeck(CHANNELS, out_channels=256, norm_cfg=norm_cfg), stock)

    def test_equal_widths_have_no_shortcut_convolution(self) -> None:
        """As in W64, whose second stream has 128 channels, to be 256; and here the first one."""
        widths = (128, 16, 32, 64)
        assert shapes(ClassificationNeck(widths)) == shapes(HRFuseScales(widths))
        assert 'increase_layers.0.0.downsample.0.weight' not in shapes(ClassificationNeck(widths))


class TestHRFPN:
    @pytest.mark.parametrize('pooling_type', ['AVG', 'MAX'])
    @pytest.mark.parametrize('stride', [1, 2])
    def test_outputs(self, pooling_type: str, stride: int) -> None:
        options: dict[str, Any] = dict(pooling_type=pooling_type, stride=stride)
        stock = StockHRFPN([*CHANNELS], 16, **options)
        assert_same(HRFPN(CHANNELS, 16, **options), stock)

    def test_other_levels_recomputed(self) -> None:
        stock = StockHRFPN([*CHANNELS], 16, num_outs=3)
        assert_same(HRFPN(CHANNELS, 16, num_outs=3, with_cp=True), stock)


class Apart(nn.Module):
    """A neck and a head of MMSegmentation that returns what it classifies, and the logits."""

    def __init__(self, neck: nn.Module, **head: Any) -> None:
        super().__init__()
        self.neck = neck
        self.decode_head = FCNHead(
            channels=sum(CHANNELS),
            kernel_size=1,
            concat_input=False,
            dropout_ratio=0,
            num_classes=3,
            norm_cfg=dict(type='BN'),
            **head,
        )

    def forward(self, streams: Streams) -> list[Tensor]:
        return [self.decode_head(self.neck(streams))]


@needs('mmseg')
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('mixing', [False, True])
def test_concatenation_is_that_of_mmsegmentations_heads(mixing: bool, align_corners: bool) -> None:
    """FCNHead of HRNetV2, whose 1x1 convolution is the neck's or its own."""
    stock = Apart(
        nn.Identity(),
        in_channels=CHANNELS,
        in_index=(0, 1, 2, 3),
        input_transform='resize_concat',
        align_corners=align_corners,
        num_convs=1,
    )
    neck = ConcatStreams(CHANNELS, mixing=mixing, align_corners=align_corners)
    ours = Apart(neck, in_channels=sum(CHANNELS), in_index=0, num_convs=0 if mixing else 1)
    nn.init.normal_(stock.decode_head.conv_seg.weight)
    randomised(stock.double())
    state = stock.state_dict()
    names = {n: n.replace('neck.mixing', 'decode_head.convs.0') for n in ours.state_dict()}
    ours.double().load_state_dict({ours_: state[stocks] for ours_, stocks in names.items()})
    assert len(ours.state_dict()) == len(state)
    for training in (False, True):
        results = []
        for model in (ours.train(training), stock.train(training)):
            x = streams_of((96, 128))
            (out,) = model(x)
            out.square().mean().backward()
            results.append([out, *(stream.grad for stream in x)])
        for a, b in zip(*results, strict=True):
            assert b.norm() > 0
            assert_close(a, b)
