"""HRFormer's options, errors and published counts."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmpose
import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from support.model_checks import (
    Pair,
    assert_recomputing_saves,
    assert_same_frozen,
    assert_same_outputs,
    assert_same_training,
    build,
    build_stock,
    image,
    macs,
    make_pair,
    parameters,
    published,
    shapes,
    small_extra,
)
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrnet_plugin.functional import relative_position_index, window_partition
from hrnet_plugin.models import HRFormer
from hrnet_plugin.models.layers.window_attention import LocalWindowAttention, WindowAttention

CONFIGS = Path(mmpose.__file__).parent / '.mim/configs/body_2d_keypoint/topdown_heatmap/coco'


def small(**options: Any) -> nn.Module:
    return build('HRFormer', small_extra('hrformer'), **options)


def pair_of(**changes: Any) -> Pair:
    return make_pair('HRFormer', small_extra('hrformer', **changes))


def size_id(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'


class TestOptionsEqualStock:
    def test_without_position_bias(self) -> None:
        """Stock builds and runs without it; only its init_weights fails."""
        pair = pair_of(with_rpe=False)
        assert not any('relative_position' in name for name in pair[0].state_dict())
        assert_same_outputs(pair, image((64, 64)))
        assert_same_training(pair, image((64, 64)))
        pair[0].init_weights()

    def test_pad_mask_where_both_axes_are_padded(self) -> None:
        """Streams of 16, 8, 4, 2 tokens along both axes: stock masks all of them."""
        pair, x = pair_of(with_pad_mask=True), image((64, 64))
        masked = assert_same_outputs(pair, x)
        assert_same_training(pair, x)
        unmasked = pair_of()[0].eval()
        unmasked.load_state_dict(pair[0].eval().state_dict())
        with torch.no_grad():
            assert not torch.allclose(unmasked(x)[0], masked[0], rtol=1e-3)

    def test_pad_mask_where_none_is_padded(self) -> None:
        """Streams of 56, 28, 14, 7 tokens: the mask is on, and nothing is masked."""
        assert_same_outputs(pair_of(with_pad_mask=True), image((224, 224)))

    def test_windows_that_are_not_square_nor_alike(self) -> None:
        stage4 = small_extra('hrformer')['stage4'] | dict(
            window_sizes=((3, 5), 2, (4, 1), 7), mlp_ratios=(1, 2, 3, 1)
        )
        assert_same_outputs(pair_of(stage4=stage4), image((64, 96)))

    def test_drop_path(self) -> None:
        """With the same random numbers the same samples skip the same paths."""
        assert_same_training(pair_of(drop_path_rate=0.5), image((64, 64), batch=3))

    def test_drop_path_ramp(self) -> None:
        def chances(model: nn.Module) -> dict[str, float]:
            return {n: m.drop_prob for n, m in model.named_modules() if hasattr(m, 'drop_prob')}

        extra = small_extra('hrformer', drop_path_rate=0.3)
        ours, stock = chances(HRFormer(extra)), chances(build_stock('HRFormer', extra))
        assert ours == pytest.approx(stock, rel=1e-6)
        assert max(stock.values()) == pytest.approx(0.3)

    @pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 3, 4])
    def test_frozen_stages(self, frozen_stages: int) -> None:
        stock = build_stock('HRFormer', small_extra('hrformer'), frozen_stages=frozen_stages)
        assert_same_frozen(small(frozen_stages=frozen_stages), stock)

    @pytest.mark.parametrize('size', ['256x192', '384x288'])
    @pytest.mark.parametrize('arch', ['small', 'base'])
    def test_configs_build_the_arch_of_their_name(self, arch: str, size: str) -> None:
        config = Config.fromfile(CONFIGS / f'td-hm_hrformer-{arch}_8xb32-210e_coco-{size}.py')
        backbone = config.model.backbone
        del backbone['type']
        with torch.device('meta'):
            # The configs spell out the published rates of drop path, which differ.
            rate = backbone['extra']['drop_path_rate']
            options = dict(norm_cfg=backbone['norm_cfg'], init_cfg=backbone['init_cfg'])
            expected = HRFormer(arch=arch, drop_path_rate=rate, **options)
            described = HRFormer(**backbone)
        # Shapes of the tables of position biases tell windows and heads.
        assert (str(described), shapes(described)) == (str(expected), shapes(expected))


class TestPadMask:
    """Masked attention against attention among the real tokens alone, each window by itself."""

    WINDOW = (3, 4)

    def attend(self, attention: WindowAttention, tokens: Tensor, where: Tensor) -> Tensor:
        """Equation 4 of Swin Transformer on (L, C) tokens at the given places of a window."""
        query, key, value = (
            x.reshape(len(tokens), attention.heads, -1).transpose(0, 1)
            for x in attention.qkv(tokens).chunk(3, dim=1)
        )
        logits = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
        if attention.with_rpe:
            index = relative_position_index(self.WINDOW)[where][:, where]
            logits = logits + attention.relative_position_bias_table[index].permute(2, 0, 1)
        out = logits.softmax(-1) @ value
        return attention.proj(out.transpose(0, 1).flatten(1))

    @pytest.mark.parametrize('with_rpe', [True, False])
    @pytest.mark.parametrize('size', [(6, 9), (7, 8), (5, 9), (1, 1), (6, 8)], ids=size_id)
    def test_real_tokens_see_each_other_only(self, size: tuple[int, int], with_rpe: bool) -> None:
        torch.manual_seed(0)
        layer = LocalWindowAttention(6, 2, self.WINDOW, with_rpe=with_rpe, with_pad_mask=True)
        layer.double()
        if with_rpe:
            nn.init.normal_(layer.attn.relative_position_bias_table)
        x = torch.randn(2, *size, 6, dtype=torch.float64)
        real = window_partition(torch.ones(2, *size, 1), self.WINDOW).squeeze(-1) == 1
        windows = zip(window_partition(x, self.WINDOW), real, strict=True)
        expected = [self.attend(layer.attn, tokens[r], r) for tokens, r in windows]
        out = window_partition(layer(x), self.WINDOW)[real]
        torch.testing.assert_close(out, torch.cat(expected))

    def test_gradients_are_finite(self) -> None:
        layer = LocalWindowAttention(6, 2, (7, 7), with_rpe=True, with_pad_mask=True)
        layer(torch.rand(1, 1, 8, 6)).sum().backward()
        assert all(p.grad.isfinite().all() for p in layer.parameters())

    def test_without_mask_padded_tokens_are_seen(self) -> None:
        """Published behaviour: they are zeros behind the norm, so their value is a bias."""
        layer = LocalWindowAttention(6, 2, self.WINDOW, with_rpe=True, with_pad_mask=False)
        nn.init.normal_(layer.attn.qkv.bias)
        x = torch.rand(1, 6, 9, 6)
        padded = torch.zeros(1, 6, 12, 6)
        padded[:, :, 1:10] = x
        torch.testing.assert_close(layer(x), layer(padded)[:, :, 1:10])


class TestPublishedCounts:
    """published_numbers: the official code's own counts."""

    @pytest.mark.parametrize(
        ('arch', 'size', 'expected_parameters', 'expected_macs', 'with_products'),
        [
            ('small', (256, 192), 7_746_218, 2_952_555_008, 3_243_287_296),
            ('small', (384, 288), 7_746_218, 6_516_203_136, 7_136_391_040),
            ('base', (256, 192), 43_210_434, 13_194_262_176, 13_902_922_128),
        ],
    )
    def test_backbone(
        self,
        arch: str,
        size: tuple[int, int],
        expected_parameters: int,
        expected_macs: int,
        with_products: int,
    ) -> None:
        products = 0

        def count(_: nn.Module, args: tuple[Tensor, ...], __: Tensor) -> None:
            """Each of L tokens in a window: L logits and a sum of L values, C channels each."""
            nonlocal products
            windows, length, channels = args[0].shape
            products += 2 * windows * length * length * channels

        model = published('HRFormer', arch)
        hooks = [
            module.register_forward_hook(count)
            for module in model.modules()
            if isinstance(module, WindowAttention)
        ]
        total = macs(model, torch.empty(1, 3, *size, device='meta'))
        for hook in hooks:
            hook.remove()
        assert parameters(model) == expected_parameters
        assert total == expected_macs
        assert total + products == with_products

    def test_tiny_with_head(self) -> None:
        """The paper's table of pose results: 2.5 M parameters, 1.3 G multiply-accumulates."""
        with torch.device('meta'):
            backbone, head = published('HRFormer', 'tiny'), nn.Conv2d(18, 17, 1)
            total = macs(backbone, torch.empty(1, 3, 256, 192))
            total += macs(head, torch.empty(1, 18, 64, 48))
        assert parameters(backbone) + parameters(head) == pytest.approx(2.5e6, abs=0.05e6)
        assert total == pytest.approx(1.3e9, abs=0.05e9)


class TestOptions:
    def test_options_replace_those_of_extra(self) -> None:
        extra = small_extra('hrformer', drop_path_rate=0.1, with_rpe=False, with_pad_mask=True)
        block = HRFormer(extra).stage4[0].branches[3][1]
        assert block.drop_path.drop_prob == pytest.approx(0.1)
        assert not block.attn.attn.with_rpe
        assert block.attn.with_pad_mask
        options = dict(drop_path_rate=0.0, with_rpe=True, with_pad_mask=False)
        block = HRFormer(extra, **options).stage4[0].branches[3][1]
        assert isinstance(block.drop_path, nn.Identity)
        assert block.attn.attn.with_rpe
        assert not block.attn.with_pad_mask

    def test_defaults_of_extra(self) -> None:
        extra = small_extra('hrformer')
        del extra['drop_path_rate']
        block = HRFormer(extra).stage4[0].branches[3][1]
        assert isinstance(block.drop_path, nn.Identity)
        assert block.attn.attn.with_rpe
        assert not block.attn.with_pad_mask

    def test_streams_of_different_depths(self) -> None:
        """A stream ends where its blocks do; the deepest one sets the ramp."""
        extra = small_extra('hrformer', drop_path_rate=0.5)
        for stage in ('stage2', 'stage3', 'stage4'):
            extra[stage] |= dict(num_modules=1, num_blocks=(1, 2, 2, 2)[: int(stage[-1])])
        model = HRFormer(extra)
        branches = model.stage3[0].branches
        assert [len(branch) for branch in branches] == [1, 2, 2]
        assert branches[0][0].drop_path.drop_prob == pytest.approx(0.2)
        assert branches[1][1].drop_path.drop_prob == pytest.approx(0.3)

    def test_transformer_norm(self) -> None:
        def eps(**options: object) -> set[float]:
            modules = small(**options).modules()
            return {m.eps for m in modules if isinstance(m, nn.LayerNorm)}

        assert eps() == {1e-6}
        assert eps(transformer_norm_cfg=dict(type='LN', eps=1e-4)) == {1e-4}

    def test_no_sync_batch_norm_is_left_after_reverting(self) -> None:
        model = small(norm_cfg=dict(type='SyncBN', requires_grad=True))
        assert any(isinstance(m, nn.SyncBatchNorm) for m in model.modules())
        model = revert_sync_batchnorm(model)

        def values(thing: object) -> Iterator[object]:
            """All that is reachable from a module, through attributes and containers."""
            yield thing
            if isinstance(thing, nn.Module):
                thing = vars(thing)
            if isinstance(thing, dict):
                thing = list(thing.values())
            if isinstance(thing, list | tuple):
                for item in thing:
                    yield from values(item)

        reachable = list(values(model))
        assert any(isinstance(x, _BatchNorm) for x in reachable)
        assert not any(isinstance(x, nn.SyncBatchNorm) for x in reachable)
        model.train()(torch.rand(2, 3, 32, 32))

    def test_initialisation(self) -> None:
        """Tables: normal, cut off at 2, of 0.02; the rest as published."""
        torch.manual_seed(0)
        model = HRFormer(arch='tiny')

        def tables() -> Tensor:
            parameters = model.named_parameters()
            return torch.cat([p.flatten() for n, p in parameters if n.endswith('bias_table')])

        built = tables()
        model.init_weights()
        assert torch.equal(tables(), built)
        assert built.std().item() == pytest.approx(0.02, rel=0.05)
        ffn = model.stage4[0].branches[3][1].ffn
        assert ffn.fc1.weight.std().item() == pytest.approx(0.001, rel=0.05)
        assert ffn.fc1.bias.eq(0).all()

    @pytest.mark.parametrize('drop_path_rate', [0.0, 0.5])
    def test_with_cp_saves_memory_and_changes_nothing(self, drop_path_rate: float) -> None:
        assert_recomputing_saves(
            lambda cp: small(drop_path_rate=drop_path_rate, with_cp=cp),
            torch.rand(3, 3, 64, 64),
            at_most=0.3,
        )

    @pytest.mark.parametrize('with_cp', [False, True])
    def test_no_graph_break_in_training(self, with_cp: bool) -> None:
        """Drop path and recomputing run in training only; one block has both."""
        with torch.device('meta'):
            model = small(drop_path_rate=0.1, with_cp=with_cp).train()
            block = model.stage4[0].branches[0][1]
            explanation = torch._dynamo.explain(block)(torch.rand(2, 8, 16, 16))
        assert explanation.graph_count == 1
        assert explanation.graph_break_count == 0


class TestErrors:
    def check(self, match: str, **changes: object) -> None:
        extra = small_extra('hrformer')
        extra['stage2'] |= changes
        with pytest.raises(ValueError, match=match):
            HRFormer(extra)

    def test_misspelled_key(self) -> None:
        self.check("extra.stage2 'window_size'; did you mean 'window_sizes'", window_size=7)

    def test_block_of_another_backbone(self) -> None:
        self.check("extra.stage2.block 'HRFORMER'; did you mean 'HRFORMERBLOCK'", block='HRFORMER')

    def test_lengths_that_differ(self) -> None:
        self.check(r'extra.stage2: num_heads=\(1,\) has 1 entries; expected', num_heads=(1,))

    @pytest.mark.parametrize('heads', [5, 0])
    def test_heads_that_do_not_divide_the_channels(self, heads: int) -> None:
        self.check(
            rf'extra.stage2: num_heads\[1\]={heads} does not divide num_channels\[1\]=16',
            num_heads=(1, heads),
        )

    @pytest.mark.parametrize('window', [0, (7, -1), (7,), 7.0])
    def test_windows_that_are_none(self, window: object) -> None:
        self.check(r'extra.stage2: window_sizes\[0\]=.*; expected', window_sizes=(window, 7))

    def test_ffn_of_no_channels(self) -> None:
        self.check(r'extra.stage2: mlp_ratios\[1\]=0.01 .* no channels', mlp_ratios=(4, 0.01))

    @pytest.mark.parametrize('rate', [-0.1, 1.0, 20])
    def test_drop_path_rate_that_is_no_chance(self, rate: float) -> None:
        with pytest.raises(ValueError, match=f'drop_path_rate={rate}; expected'):
            HRFormer(arch='tiny', drop_path_rate=rate)

    def test_misspelled_option_of_extra(self) -> None:
        extra = small_extra('hrformer', drop_path=0.1)
        with pytest.raises(ValueError, match="'drop_path'; did you mean 'drop_path_rate'"):
            HRFormer(extra)
