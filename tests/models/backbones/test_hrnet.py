import copy
from itertools import pairwise

import pytest
import torch
from mmpose.models.backbones import HRNet as StockHRNet
from support.model_checks import (
    assert_close,
    assert_recomputing_saves,
    macs,
    parameters,
    randomised,
)
from torch import Tensor, nn

from hrnet_plugin.models import HRNet
from hrnet_plugin.models.archs import HRNET_ARCHS

# Parameters (M) of the ImageNet classifiers: HRNet's paper, table of classification results
CLASSIFIER_MPARAMS = {
    'w18-small-v1': 13.2,
    'w18-small-v2': 15.6,
    'w18': 21.3,
    'w30': 37.7,
    'w32': 41.2,
    'w40': 57.6,
    'w44': 67.1,
    'w48': 77.5,
    'w64': 128.1,
}


# Smallest first: they show a broken idea soonest.
@pytest.mark.parametrize('arch', sorted(HRNET_ARCHS, key=lambda name: HRNET_ARCHS[name].width))
def test_parameters_are_those_of_the_published_classifier(arch: str) -> None:
    """Backbone, measured, plus the classification head, derived from its description.

    Head: each stream to 128, 256, 512, 1024 channels by one bottleneck; 3x3 convolutions with
    bias down to the next stream; 1x1 to 2048; 1000 classes.
    """

    def bottleneck(c: int, out: int) -> int:
        mid = out // 4
        return (
            c * mid + 9 * mid * mid + mid * out + c * out + 2 * (mid + mid + out + out)
        )  # convolutions, norms

    widths = [HRNET_ARCHS[arch].width * 2**i for i in range(4)]
    outs = [128, 256, 512, 1024]
    head = sum(bottleneck(c, out) for c, out in zip(widths, outs))
    head += sum(9 * i * o + o + 2 * o for i, o in pairwise(outs))
    head += 1024 * 2048 + 2048 + 2 * 2048 + 2048 * 1000 + 1000
    total = parameters(HRNet(arch=arch, multiscale_output=True)) + head
    assert round(total / 1e6, 1) == CLASSIFIER_MPARAMS[arch]


class TestEqualsStock:
    """Outputs and gradients with copied weights, in float64."""

    @pytest.fixture(scope='class', params=['w32', 'w48'])
    def pair(self, request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
        extra = HRNET_ARCHS[request.param].extra
        extra['stage4']['multiscale_output'] = True
        stock = randomised(StockHRNet(extra).double())
        ours = HRNet(arch=request.param, multiscale_output=True).double()
        ours.load_state_dict(stock.state_dict(), strict=True)
        return ours, stock

    @pytest.fixture(params=[(256, 192), (384, 288), (128, 128)], ids=lambda s: f'{s[0]}x{s[1]}')
    def x(self, request: pytest.FixtureRequest) -> Tensor:
        generator = torch.manual_seed(1)
        return torch.randn(1, 3, *request.param, dtype=torch.float64, generator=generator)

    def test_outputs(self, pair: tuple[nn.Module, nn.Module], x: Tensor) -> None:
        ours, stock = pair
        ours.eval()
        stock.eval()
        with torch.no_grad():
            streams, expected = ours(x), stock(x)
        assert len(streams) == len(expected) == 4
        for a, b in zip(streams, expected):
            assert_close(a, b)

    def test_gradients_and_statistics_of_training(
        self, pair: tuple[nn.Module, nn.Module], x: Tensor
    ) -> None:
        ours, stock = pair
        for model in pair:
            model.train()
            model.zero_grad()
            sum(y.square().mean() for y in model(x)).backward()
        expected = dict(stock.named_parameters())
        assert len(expected) == len(list(ours.parameters())) > 0
        for name, parameter in ours.named_parameters():
            assert_close(parameter.grad, expected[name].grad)
        buffers = dict(stock.named_buffers())
        for name, buffer in ours.named_buffers():
            assert_close(buffer, buffers[name])


class TestPublishedCounts:
    """published_numbers: the official code's own counts, with the 17-keypoint 1x1 head."""

    @pytest.mark.parametrize(
        ('arch', 'size', 'expected_parameters', 'expected_macs'),
        [
            ('w32', (256, 192), 28_536_113, 7_645_003_776),
            ('w32', (384, 288), 28_536_113, 17_201_258_496),
            ('w48', (256, 192), 63_595_745, 15_691_825_152),
            # Convolutions scale with the area: 1.5 * 1.5 times those at 256x192
            ('w48', (384, 288), 63_595_745, 35_306_606_592),
        ],
    )
    def test_with_head(
        self, arch: str, size: tuple[int, int], expected_parameters: int, expected_macs: int
    ) -> None:
        with torch.device('meta'):
            backbone = HRNet(arch=arch).eval()
            head = nn.Conv2d(HRNET_ARCHS[arch].width, 17, 1)
            total = macs(backbone, torch.empty(1, 3, *size))
            total += macs(head, torch.empty(1, head.in_channels, size[0] // 4, size[1] // 4))
        assert parameters(backbone) + parameters(head) == expected_parameters
        assert total == expected_macs


SMALL = 'w18-small-v1'


class TestOptions:
    def test_extra_builds_what_arch_builds(self) -> None:
        with torch.device('meta'):
            ours, stock = HRNet(arch=SMALL), HRNet(HRNET_ARCHS[SMALL].extra)
        assert str(ours) == str(stock)

    def test_arguments_are_left_as_they_were(self) -> None:
        extra, norm_cfg = HRNET_ARCHS[SMALL].extra, dict(type='BN', requires_grad=True)
        before = copy.deepcopy((extra, norm_cfg))
        HRNet(extra, norm_cfg=norm_cfg)
        assert (extra, norm_cfg) == before

    @pytest.mark.parametrize('size', [(75, 50), (33, 100), (97, 31)])
    def test_sizes_that_32_does_not_divide(self, size: tuple[int, int]) -> None:
        model = HRNet(arch=SMALL, multiscale_output=True).eval()
        with torch.no_grad():
            streams = model(torch.rand(1, 3, *size))
        for x, stride in zip(streams, model.out_strides):
            assert x.shape[-2:] == tuple(-(-s // stride) for s in size)

    def test_in_channels_and_norm(self) -> None:
        model = HRNet(arch=SMALL, in_channels=1, norm_cfg=dict(type='GN', num_groups=4))
        assert model(torch.rand(1, 1, 32, 32))[0].shape == (1, 16, 8, 8)
        assert isinstance(model.gn1, nn.GroupNorm)

    def test_extra_sets_the_upsampling(self) -> None:
        extra = HRNET_ARCHS[SMALL].extra
        nearest = HRNet(extra).eval()
        extra['upsample'] = dict(mode='bilinear', align_corners=False)
        ours, stock = HRNet(extra).eval(), StockHRNet(extra)
        stock.eval()
        for model in (ours, stock):
            model.load_state_dict(nearest.state_dict())
        x = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            torch.testing.assert_close(ours(x)[0], stock(x)[0])
            assert not torch.allclose(ours(x)[0], nearest(x)[0])

    def test_extra_asks_for_all_streams(self) -> None:
        extra = HRNET_ARCHS[SMALL].extra
        extra['stage4']['multiscale_output'] = True
        assert len(HRNet(extra).out_channels) == 4

    @pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2, 3, 4])
    def test_frozen_stages_are_stocks(self, frozen_stages: int) -> None:
        stock = StockHRNet(HRNET_ARCHS[SMALL].extra, frozen_stages=frozen_stages)
        stock.train()
        ours = HRNet(arch=SMALL, frozen_stages=frozen_stages).train()
        expected = {n: p.requires_grad for n, p in stock.named_parameters()}
        assert {n: p.requires_grad for n, p in ours.named_parameters()} == expected
        norms = {n: m.training for n, m in stock.named_modules() if isinstance(m, nn.BatchNorm2d)}
        assert {n: ours.get_submodule(n).training for n in norms} == norms

    def test_norm_eval_holds_the_statistics(self) -> None:
        model = HRNet(arch=SMALL, norm_eval=True).train()
        before = model.bn1.running_mean.clone()
        model(torch.rand(2, 3, 32, 32))
        assert torch.equal(model.bn1.running_mean, before)
        assert model.bn1.weight.requires_grad

    def test_with_cp_saves_memory_and_keeps_gradients_and_statistics(self) -> None:
        assert_recomputing_saves(
            lambda cp: HRNet(arch=SMALL, with_cp=cp), torch.rand(2, 3, 64, 64), at_most=0.6
        )

    def test_zero_init_residual(self) -> None:
        plain, zero = HRNet(arch=SMALL), HRNet(arch=SMALL, zero_init_residual=True)
        plain.init_weights()
        zero.init_weights()
        name = 'stage2.0.branches.0.0.bn2.weight'
        assert plain.state_dict()[name].eq(1).all()
        assert zero.state_dict()[name].eq(0).all()
        assert zero.state_dict()['layer1.0.bn3.weight'].eq(0).all()

    def test_init_cfg_is_the_published_one(self) -> None:
        torch.manual_seed(0)
        model = HRNet(arch=SMALL)
        model.init_weights()
        assert model.conv2.weight.std().item() == pytest.approx(0.001, rel=0.05)
        default = HRNet(arch=SMALL, init_cfg=None)
        default.init_weights()
        assert default.conv2.weight.std() > 0.01


class TestErrors:
    def check(self, match: str, **changes: object) -> None:
        extra = HRNET_ARCHS[SMALL].extra
        extra['stage2'] |= changes
        with pytest.raises(ValueError, match=match):
            HRNet(extra)

    def test_unknown_arch(self) -> None:
        with pytest.raises(ValueError, match=r"unknown arch of HRNet 'w23'.*did you mean 'w32'"):
            HRNet(arch='w23')

    @pytest.mark.parametrize('options', [{}, dict(arch='w32', extra={})])
    def test_arch_or_extra(self, options: dict) -> None:
        with pytest.raises(ValueError, match='either arch=NAME or extra'):
            HRNet(**options)

    def test_misspelled_option(self) -> None:
        with pytest.raises(TypeError, match="'froze_stages'; did you mean 'frozen_stages'"):
            HRNet(arch=SMALL, froze_stages=1)

    def test_misspelled_key(self) -> None:
        self.check("extra.stage2 'num_block'; did you mean 'num_blocks'", num_block=(1, 1))

    def test_misspelled_block(self) -> None:
        self.check("extra.stage2.block 'BASICS'; did you mean 'BASIC'", block='BASICS')

    def test_lengths_that_differ(self) -> None:
        self.check(r'extra.stage2: num_channels=\(16,\) has 1 entries', num_channels=(16,))

    def test_stage_that_opens_no_stream(self) -> None:
        one = dict(num_branches=1, num_blocks=(2,), num_channels=(16,))
        self.check('extra.stage2 has num_branches=1; expected more than the 1', **one)

    @pytest.mark.parametrize('key', ['num_modules', 'num_branches'])
    def test_stage1_of_several(self, key: str) -> None:
        extra = HRNET_ARCHS[SMALL].extra
        extra['stage1'] |= {key: 2} | (dict(num_blocks=(1, 1), num_channels=(32, 32)))
        if key == 'num_modules':
            extra['stage1'] |= dict(num_blocks=(1,), num_channels=(32,))
        with pytest.raises(ValueError, match=r'extra.stage1 has one module of one branch'):
            HRNet(extra)

    def test_missing_stage(self) -> None:
        extra = HRNET_ARCHS[SMALL].extra
        del extra['stage3']
        with pytest.raises(ValueError, match="extra lacks 'stage3'"):
            HRNet(extra)

    def test_misspelled_upsampling(self) -> None:
        extra = HRNET_ARCHS[SMALL].extra | dict(upsample=dict(mod='bilinear'))
        with pytest.raises(ValueError, match=r"extra.upsample 'mod'; did you mean 'mode'"):
            HRNet(extra)

    @pytest.mark.parametrize('frozen_stages', [-2, 5])
    def test_frozen_stages_out_of_range(self, frozen_stages: int) -> None:
        with pytest.raises(ValueError, match=f'frozen_stages={frozen_stages}; expected -1'):
            HRNet(arch=SMALL, frozen_stages=frozen_stages)
