"""Lite-HRNet's options, errors and published counts."""

from typing import Any

import pytest
import torch
from mmpose.models.backbones.litehrnet import LiteHRModule
from support.model_checks import (
    assert_recomputing_saves,
    assert_same_outputs,
    build_stock,
    image,
    macs,
    make_pair,
    one_block_lite,
    parameters,
    published,
    small_extra,
)
from torch import Tensor, nn

from hrnet_plugin.models import LiteHRNet
from hrnet_plugin.models.archs import LITEHRNET_ARCHS


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
        model, x = published('LiteHRNet', arch), torch.empty(1, 3, 256, 192, device='meta')
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
    @pytest.mark.parametrize('structure', ['lite', 'naive'])
    def test_sizes_at_which_stock_fails(self, structure: str) -> None:
        """test_backbones.py tests what ours returns there."""
        with pytest.raises(RuntimeError, match='must match the size'):
            build_stock('LiteHRNet', small_extra(structure))(torch.rand(1, 3, 75, 50))

    @pytest.mark.parametrize(
        ('with_head', 'channels'), [(True, (40, 40, 80, 160)), (False, (40, 80, 160, 320))]
    )
    def test_all_streams(self, with_head: bool, channels: tuple[int, ...]) -> None:
        """test_equals_stock.py compares their values with those inside of stock."""
        model = LiteHRNet(one_block_lite(with_head=with_head), multiscale_output=True).eval()
        assert model.out_channels == channels
        assert tuple(x.shape[1] for x in model(torch.rand(1, 3, 32, 32))) == channels

    def test_clean_fusion(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is what stock would compute if each sum started from 0."""
        ours, stock = pair = make_pair('LiteHRNet', one_block_lite(), aliased_fusion=False)
        x = image((64, 64))
        with torch.no_grad():
            stock.eval()
            clean, published = ours.eval()(x)[0], stock(x)[0]
        assert (clean - published).norm() > 0.1 * published.norm()

        def forward(module: LiteHRModule, streams: list[Tensor]) -> list[Tensor]:
            streams = module.layers(streams)
            rows = [[path or nn.Identity() for path in row] for row in module.fuse_layers]
            return [module.relu(sum(f(x) for f, x in zip(row, streams))) for row in rows]

        monkeypatch.setattr(LiteHRModule, 'forward', forward)
        assert_same_outputs(pair, x)

    @pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2, 3])
    def test_frozen_stages(self, frozen_stages: int) -> None:
        model = LiteHRNet(one_block_lite(), frozen_stages=frozen_stages).train()
        parts = [('stem',), *((f'transition{i}', f'stage{i}') for i in range(3))]
        frozen = tuple(f'{name}.' for part in parts[: frozen_stages + 1] for name in part)
        held = {n for n, p in model.named_parameters() if not p.requires_grad}
        assert held == {n for n, _ in model.named_parameters() if n.startswith(frozen)}
        norms = {n: m for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
        assert norms
        assert all(m.training != n.startswith(frozen) for n, m in norms.items())

    def test_init_cfg_is_the_published_one(self) -> None:
        torch.manual_seed(0)
        model, default = LiteHRNet(one_block_lite()), LiteHRNet(one_block_lite(), init_cfg=None)
        model.init_weights()
        default.init_weights()
        weights = {n: p for n, p in model.named_parameters() if p.dim() == 4 and p.numel() > 500}
        assert len(weights) > 20
        for name, weight in weights.items():
            assert weight.std().item() == pytest.approx(0.001, rel=0.15)
            assert default.get_parameter(name).std() > 0.01


@pytest.mark.parametrize('structure', ['lite', 'naive'])
def test_with_cp_saves_memory_and_changes_nothing(structure: str) -> None:
    extra = small_extra(structure)
    assert_recomputing_saves(
        lambda cp: LiteHRNet(extra, with_cp=cp), torch.rand(2, 3, 64, 64), at_most=0.6
    )


class TestErrors:
    @pytest.mark.parametrize('part', ['extra', 'extra.stem', 'extra.stages_spec'])
    def test_misspelled_or_missing_key(self, part: str) -> None:
        extra = one_block_lite()
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
            LiteHRNet(one_block_lite(**changes))

    def test_frozen_stages_out_of_range(self) -> None:
        with pytest.raises(ValueError, match=r'frozen_stages=4; expected -1.* to 3'):
            LiteHRNet(one_block_lite(), frozen_stages=4)
