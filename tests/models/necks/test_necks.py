"""What every neck promises, and their options."""

import copy
import math
import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from support.model_checks import assert_recomputing_saves, randomised, shapes
from torch import Tensor, nn

from hrnet_plugin.models import HRFPN, ClassificationNeck, ConcatStreams
from hrnet_plugin.models.necks.base import StreamNeck

CHANNELS = (4, 8, 16, 32)
GN = dict(type='GN', num_groups=2)
NECKS: dict[str, Callable[..., StreamNeck]] = {
    'classification': lambda c=CHANNELS, **o: ClassificationNeck(c, out_channels=64, **o),
    'separable': lambda c=CHANNELS, **o: ClassificationNeck(c, True, out_channels=64, **o),
    'hrfpn': lambda c=CHANNELS, **o: HRFPN(c, 8, **o),
    'hrfpn-stride2-shared': lambda c=CHANNELS, **o: HRFPN(c, 8, stride=2, share_conv=True, **o),
    'concat': lambda c=CHANNELS, **o: ConcatStreams(c, **o),
    'mixing': lambda c=CHANNELS, **o: ConcatStreams(c, mixing=True, **o),
}


def streams_of(
    size: tuple[int, int], channels: tuple[int, ...] = CHANNELS, batch: int = 1
) -> tuple[Tensor, ...]:
    """Streams of images of this size, as a backbone puts them out."""
    torch.manual_seed(1)
    sides = ([-(-side // (4 * 2**i)) for side in size] for i in range(len(channels)))
    return tuple(torch.randn(batch, c, *side) for c, side in zip(channels, sides))


def build(neck: str, *args: Any, **options: Any) -> StreamNeck:
    torch.manual_seed(0)
    return NECKS[neck](*args, **options)


@pytest.mark.parametrize('neck', NECKS)
class TestContract:
    @pytest.mark.parametrize('streams', [1, 2, 4, 5])
    def test_outputs_are_as_announced(self, neck: str, streams: int) -> None:
        channels = doubled_channels(streams)
        model = build(neck, channels).eval()
        with torch.no_grad():
            outputs = model(streams_of((512, 256), channels))
        assert model.in_channels == channels
        assert [tuple(x.shape) for x in outputs] == [
            (1, model.out_channels, 512 // stride, 256 // stride) for stride in model.out_strides
        ]

    @pytest.mark.parametrize('size', [(90, 122), (75, 133), (97, 65)], ids=str)
    def test_any_size(self, neck: str, size: tuple[int, int]) -> None:
        """32 need not divide the image."""
        streams = streams_of(size)
        height, width = streams[-1 if 'cl' in neck or neck == 'separable' else 0].shape[-2:]
        outputs = build(neck).eval()(streams)
        halved = 'stride2' in neck
        expected = [(height >> i, width >> i) for i in range(len(outputs))]
        if halved:
            expected = [(-(-h // 2), -(-w // 2)) for h, w in expected]
        assert [tuple(x.shape[-2:]) for x in outputs] == expected
        assert all(x.isfinite().all() for x in outputs)

    def test_streams_are_left_as_they_were(self, neck: str) -> None:
        streams = streams_of((64, 96))
        before = [x.clone() for x in streams]
        build(neck)(list(streams))
        assert all(torch.equal(a, b) for a, b in zip(streams, before, strict=True))

    def test_every_stream_and_parameter_has_a_gradient(self, neck: str) -> None:
        model = build(neck).eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.bias)  # so that no ReLU of a few units is dead by chance
        streams = [x.requires_grad_() for x in streams_of((96, 96))]
        sum(y.square().sum() for y in model(streams)).backward()
        gradients = [x.grad for x in (*streams, *model.parameters())]
        assert all(g is not None and g.abs().sum() > 0 for g in gradients)

    def test_copy_and_pickle_compute_the_same(self, neck: str) -> None:
        model, streams = build(neck).eval(), streams_of((64, 96))
        assert model.eval() is model
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            for a, b in zip(other(streams), model(streams), strict=True):
                assert torch.equal(a, b)

    def test_no_graph_break(self, neck: str) -> None:
        with torch.device('meta'):
            model = build(neck).eval()
            explanation = torch._dynamo.explain(model)(streams_of((96, 128)))
        assert explanation.graph_count == 1
        assert explanation.graph_break_count == 0

    def test_norm(self, neck: str) -> None:
        """Everywhere; stock has plain batch norms in its bottlenecks."""
        model = build(neck, norm_cfg=GN)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        norms = sum(isinstance(m, nn.GroupNorm) for m in model.modules())
        convs = sum(isinstance(m, nn.Conv2d) for m in model.modules())
        assert norms == convs
        assert not any(m.bias is not None for m in model.modules() if isinstance(m, nn.Conv2d))
        model(streams_of((64, 96)))

    def test_arguments_are_left_as_they_were(self, neck: str) -> None:
        channels, norm_cfg = list(CHANNELS), dict(GN)
        build(neck, channels, norm_cfg=norm_cfg)
        assert (channels, norm_cfg) == ([*CHANNELS], GN)

    def test_other_streams_than_announced(self, neck: str) -> None:
        model = build(neck)
        with pytest.raises(ValueError, match=r'puts out 1 stream.*\(4,\).*multiscale_output=True'):
            model(streams_of((64, 64))[:1])
        message = r'in_channels=\(4, 8, 16, 32\), but the backbone .* of \(8, 4, 16, 32\) channels'
        with pytest.raises(ValueError, match=message):
            model(streams_of((64, 64), (8, 4, 16, 32)))

    def test_misspelled_option(self, neck: str) -> None:
        with pytest.raises(TypeError, match="'norm_cg'; did you mean 'norm_cfg'"):
            build(neck, norm_cg=GN)


def doubled_channels(streams: int) -> tuple[int, ...]:
    return tuple(4 * 2**i for i in range(streams))


def spread(weight: Tensor) -> float:
    return weight.std().item()


class TestInitialisation:
    """As in the official code, unlike stock."""

    def test_classification(self) -> None:
        """Kaiming by outputs: stock has PyTorch's default in the bottlenecks."""
        torch.manual_seed(0)
        model = ClassificationNeck(CHANNELS)
        model.init_weights()
        convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
        assert len(convs) == 4 * 4 + 3 + 1
        for conv in convs:
            outputs = conv.out_channels * conv.kernel_size[0] ** 2
            assert spread(conv.weight) == pytest.approx(math.sqrt(2 / outputs), rel=0.2)

    def test_hrfpn(self) -> None:
        """Caffe2's Xavier, uniform: stock has another one in the reduction."""
        torch.manual_seed(0)
        model = HRFPN((64, 128), 64)
        model.init_weights()
        convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
        assert len(convs) == 6
        for conv in convs:
            limit = math.sqrt(3 / conv.weight[0].numel())
            assert conv.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
            assert conv.bias.eq(0).all()

    def test_concatenation(self) -> None:
        torch.manual_seed(0)
        model = ConcatStreams(CHANNELS, mixing=True)
        model.init_weights()
        assert spread(model.mixing.conv.weight) == pytest.approx(0.001, rel=0.05)


class OfficialSeparable(nn.Module):
    """The head of HRFormer's official classifiers, up to pooling, written out."""

    def __init__(self) -> None:
        super().__init__()
        widths = (128, 256, 512, 1024)
        self.incre_modules = nn.ModuleList(
            nn.Sequential(DepthwiseBlock(i, o)) for i, o in zip(CHANNELS, widths)
        )
        self.downsamp_modules = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(i, i, 3, stride=2, padding=1, groups=i),
                nn.BatchNorm2d(i),
                nn.Conv2d(i, o, 1),
                nn.BatchNorm2d(o),
                nn.ReLU(),
            )
            for i, o in pairwise(widths)
        )
        self.final_layer = nn.Sequential(nn.Conv2d(1024, 64, 1), nn.BatchNorm2d(64), nn.ReLU())

    def forward(self, streams: tuple[Tensor, ...]) -> Tensor:
        y = self.incre_modules[0](streams[0])
        for i in range(3):
            y = self.incre_modules[i + 1](streams[i + 1]) + self.downsamp_modules[i](y)
        return self.final_layer(y)


class DepthwiseBlock(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        mid = out // 4
        self.conv1, self.bn1 = nn.Conv2d(channels, mid, 1, bias=False), nn.BatchNorm2d(mid)
        self.conv2 = nn.Conv2d(mid, mid, 3, padding=1, groups=mid, bias=False)
        self.bn2 = nn.BatchNorm2d(mid)
        self.conv3, self.bn3 = nn.Conv2d(mid, out, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample = nn.Sequential(
            nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


def test_separable_is_official() -> None:
    """Its names but for two words, and biases before norms taken off their running means."""
    official = randomised(OfficialSeparable().double()).eval()
    renamed: dict[str, Tensor] = {}
    for name, tensor in official.state_dict().items():
        name = name.replace('incre_modules', 'increase_layers')
        name = name.replace('downsamp_modules', 'downsample_layers')
        name = name.replace('final_layer.0', 'final_layer.conv')
        renamed[name.replace('final_layer.1', 'final_layer.bn')] = tensor
    neck = ClassificationNeck(CHANNELS, separable=True, out_channels=64).double().eval()
    means = {'final_layer.conv': 'final_layer.bn'}
    for i in range(3):
        for conv, norm in ((0, 1), (2, 3)):
            means[f'downsample_layers.{i}.{conv}'] = f'downsample_layers.{i}.{norm}'
    for conv, norm in means.items():
        mean = renamed[f'{norm}.running_mean']
        renamed[f'{norm}.running_mean'] = mean - renamed.pop(f'{conv}.bias')
    neck.load_state_dict(renamed, strict=True)
    streams = tuple(x.double() for x in streams_of((90, 122)))
    with torch.no_grad():
        torch.testing.assert_close(neck(streams)[0], official(streams))


class TestHRFPN:
    def test_shared_convolution(self) -> None:
        shared, own = (HRFPN(CHANNELS, 8, share_conv=share) for share in (True, False))
        state = shared.state_dict()
        assert [n for n in state if n.startswith('fpn')] == [
            'fpn_convs.0.conv.weight',
            'fpn_convs.0.conv.bias',
        ]
        for i in range(5):
            for part in ('weight', 'bias'):
                state[f'fpn_convs.{i}.conv.{part}'] = state[f'fpn_convs.0.conv.{part}']
        own.load_state_dict(state)
        streams = streams_of((96, 128))
        for a, b in zip(shared(streams), own(streams), strict=True):
            assert torch.equal(a, b)

    def test_levels_of_fcos(self) -> None:
        assert HRFPN(CHANNELS, 8, stride=2).out_strides == (8, 16, 32, 64, 128)
        assert HRFPN(CHANNELS, 8, num_outs=6, stride=2).out_strides[-1] == 256

    def test_unknown_pooling(self) -> None:
        """Stock takes any other name for AVG."""
        with pytest.raises(ValueError, match="unknown pooling_type of HRFPN 'max'"):
            HRFPN(CHANNELS, 8, pooling_type='max')

    def test_conv_cfg(self) -> None:
        model = HRFPN(CHANNELS, 8, conv_cfg=dict(type='Conv2dAdaptivePadding'))
        names = {type(m).__name__ for m in model.modules() if isinstance(m, nn.Conv2d)}
        assert names == {'Conv2dAdaptivePadding'}

    def test_with_cp_saves_memory_and_changes_nothing(self) -> None:
        streams = [x.requires_grad_() for x in streams_of((96, 128), batch=2)]
        assert_recomputing_saves(
            lambda cp: HRFPN(CHANNELS, 64, with_cp=cp, norm_cfg=dict(type='BN')),
            streams,
            at_most=0.8,
        )


class TestConcatStreams:
    @pytest.mark.parametrize('align_corners', [False, True])
    def test_resizing(self, align_corners: bool) -> None:
        """Along a line of 3 to one of 5 pixels."""
        first, second = torch.zeros(1, 1, 1, 5), torch.tensor([0.0, 5.0, 10.0]).view(1, 1, 1, 3)
        (out,) = ConcatStreams((1, 1), align_corners=align_corners)([first, second])
        assert torch.equal(out[:, :1], first)
        corners = [0.0, 2.5, 5.0, 7.5, 10.0]
        # Pixel x of 5 lies at 0.6 (x + 0.5) - 0.5 of 3, at least 0 and at most 2.
        centres = [0.0, 2.0, 5.0, 8.0, 10.0]
        expected = corners if align_corners else centres
        assert out[0, 1, 0].tolist() == pytest.approx(expected, abs=1e-5)

    def test_without_mixing_it_has_no_parameters(self) -> None:
        assert not shapes(ConcatStreams(CHANNELS))

    def test_mixing(self) -> None:
        """A ReLU of a norm of a 1x1 convolution without bias."""
        torch.manual_seed(0)
        neck = ConcatStreams(CHANNELS, mixing=True).eval()
        plain = ConcatStreams(CHANNELS)
        assert shapes(neck)['mixing.conv.weight'] == (60, 60, 1, 1)
        nn.init.normal_(neck.mixing.bn.running_mean)
        streams = streams_of((64, 64))
        (x,), (out,) = plain(streams), neck(streams)
        y = torch.einsum('oi,nihw->nohw', neck.mixing.conv.weight[:, :, 0, 0], x)
        y = (y - neck.mixing.bn.running_mean[:, None, None]) / math.sqrt(1 + 1e-5)
        torch.testing.assert_close(out, y.clamp_min(0), rtol=1e-4, atol=1e-5)
