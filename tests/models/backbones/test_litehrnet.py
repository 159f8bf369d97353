import copy
from typing import Any

import pytest
import torch
from mmpose.models.backbones import LiteHRNet as StockLiteHRNet
from mmpose.models.backbones.litehrnet import LiteHRModule
from support.model_checks import (
    assert_close,
    assert_recomputing_saves,
    macs,
    parameters,
    randomised,
)
from torch import Tensor, nn

from hrnet_plugin.models import LiteHRNet
from hrnet_plugin.models.archs import LITEHRNET_ARCHS
from hrnet_plugin.models.layers import (
    ConditionalChannelWeighting,
    IterativeHead,
    ShuffleStem,
    ShuffleUnit,
)

BN = dict(type='BN')
Pair = tuple[nn.Module, nn.Module]


def make_pair(extra: dict[str, Any], **options: Any) -> Pair:
    """Ours and stock's with the same weights, in float64."""
    stock = randomised(StockLiteHRNet(extra).double())
    ours = LiteHRNet(extra, **options).double()
    ours.load_state_dict(stock.state_dict(), strict=True)
    return ours, stock


def image(size: tuple[int, int]) -> Tensor:
    generator = torch.manual_seed(1)
    return torch.randn(1, 3, *size, dtype=torch.float64, generator=generator)


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in model.state_dict().items()}


def outputs(pair: Pair, x: Tensor) -> tuple[Tensor, Tensor]:
    for model in pair:
        model.eval()
    with torch.no_grad():
        (ours,), (stock,) = (model(x) for model in pair)
    return ours, stock


def smallest(**changes: Any) -> dict[str, Any]:
    """One module of one block in each stage; ``changes`` replace what ``extra`` says."""
    extra = LITEHRNET_ARCHS['lite-18'].extra
    extra['stages_spec'] |= dict(num_modules=(1, 1, 1), num_blocks=(1, 1, 1))
    for name, value in changes.items():
        for part in (extra, extra['stem'], extra['stages_spec']):
            if name in part:
                part[name] = value
    return extra


class TestEqualsStock:
    @pytest.fixture(scope='class', params=LITEHRNET_ARCHS)
    def pair(self, request: pytest.FixtureRequest) -> Pair:
        return make_pair(LITEHRNET_ARCHS[request.param].extra)

    # The last one is divided by neither 32 nor 4, but its streams halve evenly: stock runs.
    @pytest.fixture(
        params=[(256, 192), (384, 288), (128, 128), (62, 94)], ids=lambda s: f'{s[0]}x{s[1]}'
    )
    def x(self, request: pytest.FixtureRequest) -> Tensor:
        return image(request.param)

    def test_state_dict(self, pair: Pair) -> None:
        ours, stock = pair
        assert shapes(ours) == shapes(stock)

    def test_outputs(self, pair: Pair, x: Tensor) -> None:
        ours, stock = outputs(pair, x)
        assert ours.std() > 0.1
        assert_close(ours, stock)

    def test_gradients_and_statistics_of_training(self, pair: Pair, x: Tensor) -> None:
        ours, stock = pair
        for model in pair:
            model.train()
            model.zero_grad()
            model(x)[0].square().mean().backward()
        expected = dict(stock.named_parameters())
        assert len(expected) == len(list(ours.parameters())) > 0
        # The bias of a norm that a 1x1 convolution and another norm follow has no effect: its
        # gradient is 0 but for rounding.
        rounding = 1e-12 * sum(p.grad.norm() for p in expected.values())
        for name, parameter in ours.named_parameters():
            grad = expected[name].grad
            assert (parameter.grad - grad).norm() <= 1e-6 * grad.norm() + rounding
        buffers = dict(stock.named_buffers())
        for name, buffer in ours.named_buffers():
            assert_close(buffer, buffers[name])

    @pytest.mark.parametrize(
        'changes',
        [
            dict(with_head=False),
            dict(with_fuse=(False, True, False)),
            dict(module_type=('naive', 'lite', 'Naive')),
            dict(reduce_ratios=(4, 8, 15)),
            dict(stem_channels=16, expand_ratio=1.5),
            dict(out_channels=48),
            dict(out_channels=40),  # no transition of stream 0
            dict(num_channels=((24, 48), (40, 48, 96), (40, 48, 64, 80))),
            dict(
                num_stages=2,
                num_modules=(1, 2),
                num_branches=(2, 4),
                num_blocks=(2, 1),
                module_type=('LITE', 'LITE'),
                with_fuse=(True, True),
                reduce_ratios=(8, 8),
                num_channels=((16, 32), (16, 32, 64, 128)),
            ),
        ],
        ids=lambda c: next(iter(c)),
    )
    def test_other_extras(self, changes: dict[str, Any]) -> None:
        extra = smallest(**changes)
        assert extra != smallest()
        pair = make_pair(extra)
        assert_close(*outputs(pair, image((64, 96))))
        assert shapes(pair[0]) == shapes(pair[1])


class TestPublishedCounts:
    """published_numbers: the official code's own counts, without a keypoint head."""

    @pytest.mark.parametrize(
        ('arch', 'expected_parameters', 'as_executed', 'each_module_once'),
        [
            ('lite-18', 1_130_072, 240_256_128, 196_537_728),
            ('lite-30', 1_763_020, 384_014_688, 307_362_528),
            ('naive-18', 759_838, 209_482_368, None),
            ('wider-naive-18', 1_317_928, 343_961_088, None),
        ],
    )
    def test_counts(
        self, arch: str, expected_parameters: int, as_executed: int, each_module_once: int | None
    ) -> None:
        with torch.device('meta'):
            model, x = LiteHRNet(arch=arch), torch.empty(1, 3, 256, 192)
            training, inference = macs(model.train(), x), macs(model.eval(), x)
        assert parameters(model) == expected_parameters
        # The published code calls f_i0 twice; in inference, that changes nothing.
        assert training == as_executed
        assert training - inference == self.second_calls(arch)
        assert each_module_once in (inference, None)

    def second_calls(self, arch: str) -> int:
        """All f_i0: i steps, each with 3x3 depthwise and 1x1 convolutions at half the size."""
        row = LITEHRNET_ARCHS[arch]
        total = 0
        for modules, streams in zip(row.modules, (2, 3, 4)):
            for i in range(1, streams):
                for step in range(1, i + 1):
                    out = row.width * 2**i if step == i else row.width
                    total += modules * (64 >> step) * (48 >> step) * row.width * (9 + out)
        return total


class TestOptions:
    def test_announces_stream_0_only(self) -> None:
        for with_head in (True, False):
            model = LiteHRNet(smallest(with_head=with_head)).eval()
            streams = model(torch.rand(1, 3, 64, 96))
            assert (model.out_channels, model.out_strides) == ((40,), (4,))
            assert [tuple(x.shape) for x in streams] == [(1, 40, 16, 24)]

    def test_arch_builds_its_extra(self) -> None:
        with torch.device('meta'):
            ours, same = LiteHRNet(arch='naive-18'), LiteHRNet(LITEHRNET_ARCHS['naive-18'].extra)
        assert str(ours) == str(same)

    def test_arguments_are_left_as_they_were(self) -> None:
        extra, norm_cfg = smallest(), dict(type='BN', requires_grad=True)
        before = copy.deepcopy((extra, norm_cfg))
        LiteHRNet(extra, norm_cfg=norm_cfg)
        assert (extra, norm_cfg) == before

    @pytest.mark.parametrize('module_type', ['LITE', 'NAIVE'])
    @pytest.mark.parametrize('size', [(75, 50), (33, 100), (97, 31)])
    def test_sizes_at_which_stock_fails(self, size: tuple[int, int], module_type: str) -> None:
        ours, stock = make_pair(smallest(module_type=(module_type,) * 3))
        with pytest.raises(RuntimeError, match='must match the size'):
            stock(image(size))
        with torch.no_grad():
            (out,) = ours.eval()(image(size))
        assert out.shape == (1, 40, -(-size[0] // 4), -(-size[1] // 4))

    def test_clean_fusion(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is what stock would compute if each sum started from 0."""
        pair = make_pair(smallest(), aliased_fusion=False)
        x = image((64, 64))
        ours, published = outputs(pair, x)
        assert (ours - published).norm() > 0.1 * published.norm()

        def forward(module: LiteHRModule, streams: list[Tensor]) -> list[Tensor]:
            streams = module.layers(streams)
            rows = [[path or nn.Identity() for path in row] for row in module.fuse_layers]
            return [module.relu(sum(f(x) for f, x in zip(row, streams))) for row in rows]

        monkeypatch.setattr(LiteHRModule, 'forward', forward)
        assert_close(*outputs(pair, x))

    @pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2, 3])
    def test_frozen_stages(self, frozen_stages: int) -> None:
        model = LiteHRNet(smallest(), frozen_stages=frozen_stages).train()
        parts = [('stem',), *((f'transition{i}', f'stage{i}') for i in range(3))]
        frozen = tuple(f'{name}.' for part in parts[: frozen_stages + 1] for name in part)
        held = {n for n, p in model.named_parameters() if not p.requires_grad}
        assert held == {n for n, _ in model.named_parameters() if n.startswith(frozen)}
        norms = {n: m for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
        assert norms
        assert all(m.training != n.startswith(frozen) for n, m in norms.items())

    def test_norm_eval_holds_the_statistics(self) -> None:
        model = LiteHRNet(smallest(), norm_eval=True).train()
        before = {n: b.clone() for n, b in model.named_buffers()}
        model(torch.rand(2, 3, 32, 32))
        assert before
        assert all(torch.equal(b, before[n]) for n, b in model.named_buffers())
        assert model.stem.conv1.bn.weight.requires_grad

    def test_in_channels_and_norm(self) -> None:
        model = LiteHRNet(smallest(), in_channels=1, norm_cfg=dict(type='GN', num_groups=1))
        assert model(torch.rand(1, 1, 32, 32))[0].shape == (1, 40, 8, 8)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())

    def test_init_cfg_is_the_published_one(self) -> None:
        torch.manual_seed(0)
        model, default = LiteHRNet(smallest()), LiteHRNet(smallest(), init_cfg=None)
        model.init_weights()
        default.init_weights()
        weights = {n: p for n, p in model.named_parameters() if p.dim() == 4 and p.numel() > 500}
        assert len(weights) > 20
        for name, weight in weights.items():
            assert weight.std().item() == pytest.approx(0.001, rel=0.15)
            assert default.get_parameter(name).std() > 0.01


class TestCheckpointing:
    """with_cp: less is kept for the backward pass, which finds the same."""

    @pytest.mark.parametrize(
        ('make', 'x'),
        [
            (
                lambda cp: ShuffleStem(3, 32, 32, 1, norm_cfg=BN, with_cp=cp),
                torch.rand(2, 3, 64, 64),
            ),
            (lambda cp: ShuffleUnit(16, norm_cfg=BN, with_cp=cp), torch.rand(2, 16, 16, 16)),
            (
                lambda cp: ConditionalChannelWeighting((16, 32), 8, norm_cfg=BN, with_cp=cp),
                [torch.rand(2, 16, 16, 16), torch.rand(2, 32, 8, 8)],
            ),
            (lambda cp: LiteHRNet(arch='lite-18', with_cp=cp), torch.rand(2, 3, 64, 64)),
            (lambda cp: LiteHRNet(arch='naive-18', with_cp=cp), torch.rand(2, 3, 64, 64)),
        ],
        ids=['stem', 'shuffle', 'weighting', 'lite', 'naive'],
    )
    def test_saves_memory_and_keeps_gradients_and_statistics(self, make: Any, x: Any) -> None:
        assert_recomputing_saves(make, x, at_most=0.6)


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class TestIterativeHead:
    def test_adds_from_the_lowest_stream_up(self) -> None:
        """Corners aligned: 0, 3 becomes 0, 1, 2, 3; plus 10, doubled."""
        head = IterativeHead((1, 1), norm_cfg=BN)
        head.projects = nn.ModuleList([nn.Identity(), Double()])
        out = head([torch.full((1, 1, 1, 4), 10.0), torch.tensor([0.0, 3.0]).view(1, 1, 1, 2)])
        assert [x.flatten().tolist() for x in out] == [[20, 22, 24, 26], [0, 3]]


class TestErrors:
    def test_unknown_arch(self) -> None:
        with pytest.raises(ValueError, match="arch of LiteHRNet 'lite18'; did you mean 'lite-18'"):
            LiteHRNet(arch='lite18')

    @pytest.mark.parametrize('options', [{}, dict(arch='lite-18', extra={})])
    def test_arch_or_extra(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match='either arch=NAME or extra'):
            LiteHRNet(**options)

    def test_misspelled_option(self) -> None:
        with pytest.raises(TypeError, match="'froze_stages'; did you mean 'frozen_stages'"):
            LiteHRNet(arch='lite-18', froze_stages=1)

    @pytest.mark.parametrize('part', ['extra', 'extra.stem', 'extra.stages_spec'])
    def test_misspelled_or_missing_key(self, part: str) -> None:
        extra = smallest()
        cfg = extra if part == 'extra' else extra[part.removeprefix('extra.')]
        key = list(cfg)[-1]
        cfg[f'{key}s'] = cfg[key]
        with pytest.raises(ValueError, match=f"{part} '{key}s'; did you mean '{key}'"):
            LiteHRNet(extra)
        del cfg[f'{key}s'], cfg[key]
        with pytest.raises(ValueError, match=f"{part} lacks '{key}'"):
            LiteHRNet(extra)

    @pytest.mark.parametrize(
        ('changes', 'match'),
        [
            (
                dict(module_type=('LITE', 'LIGHT', 'LITE')),
                r"module_type in stage 1 of extra.stages_spec 'LIGHT'; did you mean 'LITE'",
            ),
            (
                dict(with_fuse=(True, True)),
                r'extra.stages_spec: with_fuse=\(True, True\) has 2 entries.*num_stages=3',
            ),
            (
                dict(num_branches=(2, 3, 5)),
                r'stage 2 of extra.stages_spec: num_channels=.* has 4 entries.*num_branches=5',
            ),
            (
                dict(num_branches=(2, 2, 4), num_channels=((8, 16), (8, 16), (8, 16, 32, 64))),
                r'stage 1 of extra.stages_spec has num_branches=2; expected more than the 2',
            ),
            (
                dict(num_channels=((8, 15), (8, 16, 32), (8, 16, 32, 64))),
                r'stage 0 of extra.stages_spec: num_channels=\(8, 15\); expected even numbers',
            ),
            (
                dict(num_channels=((6, 16), (8, 16, 32), (8, 16, 32, 64))),
                r'3 channels to weight, reduced 4 times, leave none',
            ),
            (dict(reduce_ratios=(8, 8, 512)), r'300 channels to weight, reduced 512 times'),
            (dict(stem_channels=31), r'stem_channels=31, out_channels=32; expected even'),
            (dict(out_channels=30), r'stem_channels=32, out_channels=30; expected even'),
        ],
        ids=lambda v: next(iter(v)) if isinstance(v, dict) else '',
    )
    def test_wrong_value(self, changes: dict[str, Any], match: str) -> None:
        with pytest.raises(ValueError, match=match):
            LiteHRNet(smallest(**changes))

    @pytest.mark.parametrize('frozen_stages', [-2, 4])
    def test_frozen_stages_out_of_range(self, frozen_stages: int) -> None:
        with pytest.raises(ValueError, match=f'frozen_stages={frozen_stages}; expected -1.* to 3'):
            LiteHRNet(smallest(), frozen_stages=frozen_stages)
