"""HRNet's options, errors and published counts."""

from typing import Any

import pytest
import torch
from support.model_checks import (
    assert_recomputing_saves,
    assert_same_frozen,
    assert_same_outputs,
    build,
    build_stock,
    image,
    macs,
    make_pair,
    parameters,
    published,
    small_extra,
)
from torch import nn

from hrnet_plugin.models import HRNet
from hrnet_plugin.models.archs import HRNET_ARCHS


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
            backbone = published('HRNet', arch)
            head = nn.Conv2d(HRNET_ARCHS[arch].width, 17, 1)
            total = macs(backbone, torch.empty(1, 3, *size))
            total += macs(head, torch.empty(1, head.in_channels, size[0] // 4, size[1] // 4))
        assert parameters(backbone) + parameters(head) == expected_parameters
        assert total == expected_macs


def small(**options: Any) -> nn.Module:
    return build('HRNet', small_extra('hrnet'), **options)


class TestOptions:
    def test_extra_sets_the_upsampling(self) -> None:
        x = image((64, 64))
        bilinear = dict(upsample=dict(mode='bilinear', align_corners=False))
        streams = [
            assert_same_outputs(make_pair('HRNet', small_extra('hrnet', **changes)), x)[0]
            for changes in (bilinear, {})
        ]
        assert not torch.allclose(*streams)

    def test_extra_asks_for_all_streams(self) -> None:
        extra = small_extra('hrnet')
        extra['stage4']['multiscale_output'] = True
        assert HRNet(extra).out_channels == (8, 16, 32, 64)

    @pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2, 3, 4])
    def test_frozen_stages_are_stocks(self, frozen_stages: int) -> None:
        stock = build_stock('HRNet', small_extra('hrnet'), frozen_stages=frozen_stages)
        assert_same_frozen(small(frozen_stages=frozen_stages), stock)

    def test_with_cp_saves_memory_and_keeps_gradients_and_statistics(self) -> None:
        assert_recomputing_saves(
            lambda cp: HRNet(arch='w18-small-v1', with_cp=cp),
            torch.rand(2, 3, 64, 64),
            at_most=0.6,
        )

    def test_zero_init_residual(self) -> None:
        plain, zero = small(), small(zero_init_residual=True)
        plain.init_weights()
        zero.init_weights()
        name = 'stage2.0.branches.0.0.bn2.weight'
        assert plain.state_dict()[name].eq(1).all()
        assert zero.state_dict()[name].eq(0).all()
        assert zero.state_dict()['layer1.0.bn3.weight'].eq(0).all()

    def test_init_cfg_is_the_published_one(self) -> None:
        model, default = small(), small(init_cfg=None)
        model.init_weights()
        assert model.conv2.weight.std().item() == pytest.approx(0.001, rel=0.05)
        default.init_weights()
        assert default.conv2.weight.std() > 0.01


class TestErrors:
    def check(self, match: str, **changes: object) -> None:
        extra = small_extra('hrnet')
        extra['stage2'] |= changes
        with pytest.raises(ValueError, match=match):
            HRNet(extra)

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
        extra = small_extra('hrnet')
        extra['stage1'] |= {key: 2} | (dict(num_blocks=(1, 1), num_channels=(32, 32)))
        if key == 'num_modules':
            extra['stage1'] |= dict(num_blocks=(1,), num_channels=(32,))
        with pytest.raises(ValueError, match=r'extra.stage1 has one module of one branch'):
            HRNet(extra)

    def test_missing_stage(self) -> None:
        extra = small_extra('hrnet')
        del extra['stage3']
        with pytest.raises(ValueError, match="extra lacks 'stage3'"):
            HRNet(extra)

    def test_misspelled_upsampling(self) -> None:
        extra = small_extra('hrnet', upsample=dict(mod='bilinear'))
        with pytest.raises(ValueError, match=r"extra.upsample 'mod'; did you mean 'mode'"):
            HRNet(extra)
