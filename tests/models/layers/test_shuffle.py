"""Blocks of Lite-HRNet against values derived by hand."""

import math
from typing import Any

import pytest
import torch
from support.model_checks import assert_recomputing_saves
from torch import Tensor, nn

from hrnet_plugin.models.layers import (
    AliasedExchange,
    ConditionalChannelWeighting,
    Exchange,
    IterativeHead,
    ShuffleStem,
    ShuffleUnit,
)
from hrnet_plugin.models.layers.exchange import twice
from hrnet_plugin.models.layers.shuffle import interleave, named_conv
from hrnet_plugin.models.layers.weighting import CrossResolutionWeighting, SpatialWeighting

BN = dict(type='BN')
FACTORS = {(0, 1): 10, (0, 2): 100, (1, 0): 3, (1, 2): 5, (2, 0): 7, (2, 1): 11}
LN3 = math.log(3)  # sigmoid(±ln 3) is 3/4 and 1/4


def channels(*values: float) -> Tensor:
    """One pixel with a channel for each value."""
    return torch.tensor(values).view(1, -1, 1, 1)


class Scale(nn.Module):
    """Multiplies, and counts how often."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.calls = factor, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.factor * x


class TestShuffle:
    def test_interleave_takes_turns(self) -> None:
        out = interleave(channels(0, 1, 2), channels(10, 11, 12))
        assert out.flatten().tolist() == [0, 10, 1, 11, 2, 12]

    def test_interleave_keeps_the_order_in_memory(self) -> None:
        a, b = torch.rand(2, 1, 6, 3, 5).to(torch.float64).unbind()
        expected = interleave(a, b)
        actual = interleave(*(x.contiguous(memory_format=torch.channels_last) for x in (a, b)))
        assert actual.equal(expected)
        assert actual.is_contiguous(memory_format=torch.channels_last)
        assert expected.is_contiguous()

    def test_interleave_of_two_widths_takes_halves_of_both(self) -> None:
        """Together they are 0 to 5; their halves, 0 to 2 and 3 to 5, take turns."""
        out = interleave(channels(0, 1), channels(2, 3, 4, 5))
        assert out.flatten().tolist() == [0, 3, 1, 4, 2, 5]

    def test_unit_convolves_the_second_half(self) -> None:
        unit = ShuffleUnit(4, norm_cfg=BN)
        unit.branch2 = Scale(-1)
        assert unit(channels(0, 1, 2, 3)).flatten().tolist() == [0, -2, 1, -3]

    @pytest.mark.parametrize(
        ('norm_cfg', 'names'),
        [
            (BN, ['conv.weight', 'bn.weight', 'bn.bias']),
            (dict(type='GN', num_groups=1), ['conv.weight', 'gn.weight', 'gn.bias']),
            (None, ['conv.weight', 'conv.bias']),
        ],
    )
    def test_names_are_those_of_mmcv(self, norm_cfg: dict | None, names: list[str]) -> None:
        conv = named_conv(2, 2, 1, norm_cfg=norm_cfg)
        assert [name for name, _ in conv.named_parameters()] == names


class TestWeighting:
    def test_spatial(self) -> None:
        """Means 1, 2, 3, 4 sum to 10; less 9 leaves 1; times 0, ln 3, -ln 3, ln 3, less ln 3."""
        weighting = SpatialWeighting(4).requires_grad_(False)
        weighting.conv1.conv.weight.fill_(1)
        weighting.conv1.conv.bias.fill_(-9)
        weighting.conv2.conv.weight.copy_(torch.tensor([0, LN3, -LN3, LN3]).view(4, 1, 1, 1))
        weighting.conv2.conv.bias.copy_(torch.tensor([0, 0, 0, -LN3]))
        x = torch.tensor([[0.0, 2.0], [1.0, 3.0], [3.0, 3.0], [0.0, 8.0]]).view(1, 4, 1, 2)
        expected = [[0, 1], [0.75, 2.25], [0.75, 0.75], [0, 4]]
        torch.testing.assert_close(weighting(x), torch.tensor(expected).view(1, 4, 1, 2))

    def test_cross_resolution(self) -> None:
        """The mean of four pixels plus the lower one is 6 on the left and 0 on the right.

        Times ±ln 3 / 6, the weights are 3/4 and 1/4 on the left and 1/2 on the right.
        """
        weighting = CrossResolutionWeighting([1, 1], 2, norm_cfg=BN).eval().requires_grad_(False)
        weighting.conv1.bn.eps = weighting.conv2.bn.eps = 0
        weighting.conv1.conv.weight.fill_(1)
        weighting.conv2.conv.weight.copy_(torch.tensor([LN3 / 6, -LN3 / 6]).view(2, 1, 1, 1))
        higher = torch.tensor([[1.0, 3.0, 2.0, 0.0], [5.0, 7.0, 0.0, 2.0]]).view(1, 1, 2, 4)
        lower = torch.tensor([2.0, -1.0]).view(1, 1, 1, 2)
        outs = weighting([higher, lower])
        expected = torch.tensor([[0.75, 2.25, 1, 0], [3.75, 5.25, 0, 1]]).view(1, 1, 2, 4)
        torch.testing.assert_close(outs[0], expected)
        torch.testing.assert_close(outs[1], torch.tensor([0.5, -0.5]).view(1, 1, 1, 2))

    def test_block_weights_convolves_and_weights_the_second_half(self) -> None:
        class Both(nn.Module):
            def forward(self, streams: list[Tensor]) -> list[Tensor]:
                return [x + 100 for x in streams]

        block = ConditionalChannelWeighting((8, 8), 8, norm_cfg=BN)
        block.cross_resolution_weighting = Both()
        block.depthwise_convs = nn.ModuleList([Scale(2), Scale(3)])
        block.spatial_weighting = nn.ModuleList([Scale(5), Scale(7)])
        outs = block([channels(0, 1, 2, 3), channels(4, 5, 6, 7)])
        assert [x.flatten().tolist() for x in outs] == [
            [0, 1020, 1, 1030],  # (2 + 100) * 2 * 5, (3 + 100) * 2 * 5
            [4, 2226, 5, 2247],  # (6 + 100) * 3 * 7, (7 + 100) * 3 * 7
        ]

    def test_nothing_left(self) -> None:
        with pytest.raises(ValueError, match='3 channels to weight, reduced 4 times, leave none'):
            SpatialWeighting(3)
        with pytest.raises(ValueError, match='5 channels to weight, reduced 6 times, leave none'):
            CrossResolutionWeighting([2, 3], 6, norm_cfg=BN)


class TestAliasedExchange:
    """Three streams of one pixel and one channel; path f_ij multiplies by FACTORS[i, j]."""

    def make(self, kind: type[Exchange], **factors: float) -> Exchange:
        table = FACTORS | {(int(k[1]), int(k[2])): v for k, v in factors.items()}

        def path(j: int, i: int, steps: int) -> nn.Module:  # widths tell which streams
            assert steps == abs(i - j)
            return Scale(table[i, j])

        return kind([0, 1, 2], 3, down=path, up=path, upsample=dict(mode='nearest'))

    def test_sums(self) -> None:
        """s0 = 2*1 + 10*2 + 100*3; s1 = 2*3*s0 + 2 + 5*3; s2 = 2*7*s0 + 11*2 + 3."""
        streams = [channels(v) for v in (1, 2, 3)]
        outs = self.make(AliasedExchange)(streams)
        assert [x.item() for x in outs] == [322, 1949, 4533]
        assert [x.item() for x in streams] == [1, 2, 3]

    def test_clean_sums(self) -> None:
        """1 + 10*2 + 100*3; 3*1 + 2 + 5*3; 7*1 + 11*2 + 3."""
        outs = self.make(Exchange)([channels(v) for v in (1, 2, 3)])
        assert [x.item() for x in outs] == [321, 20, 32]

    def test_rows_below_read_the_sum_before_its_relu(self) -> None:
        """s0 = -2*400 + 320 = -480; s1 = 2*(-3)*s0 + 17."""
        outs = self.make(AliasedExchange, f10=-3)([channels(v) for v in (-400, 2, 3)])
        assert [x.item() for x in outs] == [0, 2897, 0]

    @pytest.mark.parametrize('training', [True, False])
    def test_gradients(self, training: bool) -> None:
        """Of s0 + s1 + s2 = (1 + 2*3 + 2*7) s0 + …: 21*2; 21*10 + 1 + 11; 21*100 + 5 + 1."""
        streams = [channels(v).requires_grad_() for v in (1.0, 2.0, 3.0)]
        exchange = self.make(AliasedExchange).train(training)
        torch.stack(exchange(streams)).sum().backward()
        assert [x.grad.item() for x in streams] == [42, 222, 2106]

    def test_statistics_move_twice(self) -> None:
        """Mean 10 of a batch, momentum 0.1: 0 -> 1 -> 1.9."""
        norm = nn.BatchNorm2d(1)
        y = twice(norm, torch.tensor([0.0, 20.0]).view(2, 1, 1, 1))
        assert norm.running_mean.item() == pytest.approx(1.9)
        assert norm.num_batches_tracked == 2
        torch.testing.assert_close(y.flatten(), torch.tensor([-1.0, 1.0]))

    @pytest.mark.parametrize(
        ('norm', 'training', 'calls'),
        [
            (nn.BatchNorm2d(2), True, 2),
            (nn.SyncBatchNorm(2), True, 2),
            (nn.BatchNorm2d(2).eval(), False, 1),
            (nn.BatchNorm2d(2).eval(), True, 1),  # norm_eval
            (nn.GroupNorm(1, 2), True, 1),
        ],
    )
    def test_a_second_call_only_where_it_matters(
        self, norm: nn.Module, training: bool, calls: int
    ) -> None:
        scale = Scale(2)
        path = nn.Sequential(scale, norm)
        path.training = training
        if isinstance(norm, nn.SyncBatchNorm):
            norm.forward = lambda x: x  # it runs on GPUs only
        twice(path, torch.rand(2, 2, 2, 2))
        assert scale.calls == calls


class TestIterativeHead:
    def test_adds_from_the_lowest_stream_up(self) -> None:
        """Corners aligned: 0, 3 becomes 0, 1, 2, 3; plus 10, doubled."""
        head = IterativeHead((1, 1), norm_cfg=BN)
        head.projects = nn.ModuleList([nn.Identity(), Scale(2)])
        out = head([torch.full((1, 1, 1, 4), 10.0), torch.tensor([0.0, 3.0]).view(1, 1, 1, 2)])
        assert [x.flatten().tolist() for x in out] == [[20, 22, 24, 26], [0, 3]]


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
    ],
    ids=['stem', 'shuffle', 'weighting'],
)
def test_with_cp_saves_memory_and_changes_nothing(make: Any, x: Any) -> None:
    assert_recomputing_saves(make, x, at_most=0.6)
