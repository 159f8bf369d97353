"""What every backbone promises: small rows of each structure, then each published row."""

import copy
import pickle
import re
from typing import Any

import pytest
import torch
from support.model_checks import (
    SMALL,
    build,
    build_stock,
    macs,
    one_block_lite,
    parameters,
    published,
    shapes,
    small_extra,
)
from support.paths import ROOT
from torch import Tensor, nn

from hrnet_plugin import models
from hrnet_plugin.models.extra import (
    hrformer_from_extra,
    hrnet_from_extra,
    litehrnet_from_extra,
)
from hrnet_plugin.models.families import FAMILIES

ARCHS: dict[tuple[str, str], Any] = {
    (name, arch): row for name, family in FAMILIES.items() for arch, row in family.archs.items()
}

FROM_EXTRA = {
    'HRNet': hrnet_from_extra,
    'LiteHRNet': litehrnet_from_extra,
    'HRFormer': hrformer_from_extra,
}


def small(structure: str, **options: Any) -> nn.Module:
    return build(SMALL[structure][0], small_extra(structure), **options)


@pytest.mark.parametrize('structure', SMALL)
class TestContract:
    @pytest.mark.parametrize('size', [(64, 96), (75, 50), (90, 122), (33, 100), (97, 31)])
    def test_streams_are_as_announced(self, structure: str, size: tuple[int, int]) -> None:
        model = small(structure, multiscale_output=True).eval()
        with torch.no_grad():
            streams = model(torch.rand(1, 3, *size))
        assert model.out_strides == (4, 8, 16, 32)
        assert [tuple(x.shape) for x in streams] == [
            (1, channels, -(-size[0] // stride), -(-size[1] // stride))
            for channels, stride in zip(model.out_channels, model.out_strides, strict=True)
        ]

    def test_one_stream_by_default(self, structure: str) -> None:
        every, first = small(structure, multiscale_output=True), small(structure)
        every.load_state_dict(first.state_dict(), strict=False)
        x = torch.rand(1, 3, 32, 32)
        with torch.no_grad():
            (stream,) = first.eval()(x)
            assert torch.equal(stream, every.eval()(x)[0])
        assert first.out_channels == every.out_channels[:1] == (stream.shape[1],)
        assert first.out_strides == (4,)

    def test_gradient_reaches_every_parameter(self, structure: str) -> None:
        model = small(structure).eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.ones_(module.bias)  # so that no ReLU of a few units is dead by chance
        model(torch.rand(1, 3, 64, 64))[0].square().sum().backward()
        gradients = [p.grad for p in model.parameters()]
        assert gradients
        assert all(g is not None and g.abs().sum() > 0 for g in gradients)

    def test_eval_and_train_return_the_model(self, structure: str) -> None:
        model = small(structure)
        assert model.eval() is model
        assert model.train() is model

    def test_copy_and_pickle_compute_the_same(self, structure: str) -> None:
        model = small(structure).eval()
        x = torch.rand(1, 3, 32, 32)
        with torch.no_grad():
            expected = model(x)[0]
            assert torch.equal(copy.deepcopy(model)(x)[0], expected)
            assert torch.equal(pickle.loads(pickle.dumps(model))(x)[0], expected)

    def test_no_graph_break(self, structure: str) -> None:
        # More blocks would add nothing to the graph but time to trace it.
        extra = small_extra(structure)
        if structure in ('lite', 'naive'):
            extra = one_block_lite(
                num_stages=1,
                num_modules=(1,),
                num_branches=(2,),
                num_blocks=(1,),
                module_type=(structure,),
                with_fuse=(True,),
                reduce_ratios=(8,),
                num_channels=((16, 32),),
            )
        else:
            for streams in (2, 3, 4):
                extra[f'stage{streams}'] |= dict(num_modules=1, num_blocks=(1,) * streams)
        with torch.device('meta'):
            model = build(SMALL[structure][0], extra).eval()
            explanation = torch._dynamo.explain(model)(torch.rand(1, 3, 32, 32))
        assert explanation.graph_count == 1
        assert explanation.graph_break_count == 0

    def test_norm_eval_keeps_the_statistics(self, structure: str) -> None:
        model = small(structure, norm_eval=True).train()
        before = {n: b.clone() for n, b in model.named_buffers()}
        model(torch.rand(2, 3, 32, 32))
        assert before
        assert all(torch.equal(b, before[n]) for n, b in model.named_buffers())
        assert all(p.requires_grad for p in model.parameters())

    def test_in_channels_and_norm(self, structure: str) -> None:
        model = small(structure, in_channels=1, norm_cfg=dict(type='GN', num_groups=1))
        assert len(model(torch.rand(1, 1, 32, 32))) == 1
        assert any(isinstance(m, nn.GroupNorm) for m in model.modules())
        assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())

    def test_arguments_are_left_as_they_were(self, structure: str) -> None:
        extra, norm_cfg = small_extra(structure), dict(type='BN', requires_grad=True)
        before = copy.deepcopy((extra, norm_cfg))
        build(SMALL[structure][0], extra, norm_cfg=norm_cfg, multiscale_output=True)
        assert (extra, norm_cfg) == before

    @pytest.mark.parametrize('frozen_stages', [-2, 5])
    def test_frozen_stages_out_of_range(self, structure: str, frozen_stages: int) -> None:
        with pytest.raises(ValueError, match=f'frozen_stages={frozen_stages}; expected -1'):
            small(structure, frozen_stages=frozen_stages)


@pytest.mark.parametrize('family', FAMILIES)
class TestErrors:
    def test_unknown_arch(self, family: str) -> None:
        arch = next(iter(FAMILIES[family].archs))
        message = f"unknown arch of {family} '{arch}s'; did you mean '{arch}'"
        with pytest.raises(ValueError, match=message):
            FAMILIES[family].build(f'{arch}s')

    @pytest.mark.parametrize('options', [{}, dict(arch='w32', extra={})], ids=['none', 'both'])
    def test_arch_or_extra(self, family: str, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=f'{family} takes either arch=NAME or extra'):
            getattr(models, family)(**options)

    def test_misspelled_option(self, family: str) -> None:
        with pytest.raises(TypeError, match="'froze_stages'; did you mean 'frozen_stages'"):
            getattr(models, family)(froze_stages=1)


@pytest.mark.parametrize('case', ARCHS, ids='-'.join)
class TestPublished:
    def test_streams(self, case: tuple[str, str]) -> None:
        family, arch = case
        width = ARCHS[case].width
        channels = tuple(width * 2**i for i in range(4))
        if family == 'LiteHRNet':  # those of the iterative head
            channels = (width, *channels[:3])
        with torch.device('meta'):
            model = FAMILIES[family].build(arch, multiscale_output=True)
        assert model.out_channels == channels
        assert model.out_strides == (4, 8, 16, 32)

    def test_extra_means_the_same(self, case: tuple[str, str]) -> None:
        assert FROM_EXTRA[case[0]](ARCHS[case].extra) == ARCHS[case].spec

    @pytest.mark.slow
    def test_state_dict_is_stocks(self, case: tuple[str, str]) -> None:
        family, arch = case
        ours = published(family, arch)
        assert shapes(ours) == shapes(build_stock(family, ARCHS[case].extra))


def published_table() -> list[tuple[str, ...]]:
    """Rows of the table of models: name, height, width, parameters, multiply-accumulates."""
    text = (ROOT / 'docs/checkpoints.md').read_text()
    return re.findall(r'^\| (\S.+?) \| (\d+)x(\d+) \| ([\d,]+) \| ([\d,]+) \|', text, re.MULTILINE)


TITLES = {
    **{f'hrnet-{arch}': ('HRNet', arch) for arch in FAMILIES['HRNet'].archs},
    'naive lite-hrnet-18': ('LiteHRNet', 'naive-18'),
    'wider naive lite-hrnet-18': ('LiteHRNet', 'wider-naive-18'),
    'lite-hrnet-18': ('LiteHRNet', 'lite-18'),
    'lite-hrnet-30': ('LiteHRNet', 'lite-30'),
    'hrformer-t': ('HRFormer', 'tiny'),
    'hrformer-s': ('HRFormer', 'small'),
    'hrformer-b': ('HRFormer', 'base'),
}


class First(nn.Module):
    def forward(self, streams: tuple[Tensor, ...]) -> Tensor:
        return streams[0]


def test_table_has_every_architecture() -> None:
    assert {TITLES[row[0].lower()] for row in published_table()} == set(TITLES.values())


@pytest.mark.parametrize('row', published_table(), ids=lambda row: f'{row[0]}-{row[1]}x{row[2]}')
def test_published_counts_are_true(row: tuple[str, ...]) -> None:
    title, height, width, *counts = row
    family, arch = TITLES[title.lower()]
    with torch.device('meta'):
        backbone = published(family, arch)
        model = nn.Sequential(backbone, First(), nn.Conv2d(backbone.out_channels[0], 17, 1))
        total = macs(model, torch.empty(1, 3, int(height), int(width)))
    assert [f'{parameters(model):,}', f'{total:,}'] == counts


def test_readme_lists_every_arch() -> None:
    assert {TITLES[row[0].lower()] for row in published_table()} == set(ARCHS)
