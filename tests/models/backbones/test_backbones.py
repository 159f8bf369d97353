"""What every published architecture of every family promises."""

import copy
import pickle
import re
from dataclasses import replace
from typing import Any

import mmpose.models.backbones as stock
import pytest
import torch
from support.model_checks import macs, parameters
from support.paths import ROOT
from torch import Tensor, nn

from hrnet_plugin import models
from hrnet_plugin.models.archs import HRFORMER_ARCHS, HRNET_ARCHS, LITEHRNET_ARCHS

ARCHS: dict[tuple[str, str], Any] = {
    (backbone, arch): row
    for backbone, rows in (
        ('HRNet', HRNET_ARCHS),
        ('LiteHRNet', LITEHRNET_ARCHS),
        ('HRFormer', HRFORMER_ARCHS),
    )
    for arch, row in rows.items()
}
# One arch for each structure
GRAPHS = [
    ('HRNet', 'w18-small-v1'),
    ('LiteHRNet', 'lite-18'),
    ('LiteHRNet', 'naive-18'),
    ('HRFormer', 'small'),
]


def build(case: tuple[str, str], **options: Any) -> nn.Module:
    backbone, arch = case
    torch.manual_seed(0)
    return getattr(models, backbone)(arch=arch, **options)


@pytest.mark.parametrize('case', ARCHS, ids='-'.join)
class TestContract:
    def test_streams_have_the_channels_and_strides_they_announce(
        self, case: tuple[str, str]
    ) -> None:
        streams = 1 if case[0] == 'LiteHRNet' else 4
        options = {} if streams == 1 else dict(multiscale_output=True)
        with torch.device('meta'):
            model = build(case, **options).eval()
            outputs = model(torch.rand(1, 3, 64, 96))
        assert model.out_channels == tuple(ARCHS[case].width * 2**i for i in range(streams))
        assert model.out_strides == (4, 8, 16, 32)[:streams]
        shapes = [(1, c, 64 // s, 96 // s) for c, s in zip(model.out_channels, model.out_strides)]
        assert [tuple(x.shape) for x in outputs] == shapes

    def test_state_dict_is_stocks(self, case: tuple[str, str]) -> None:
        theirs = getattr(stock, case[0])(ARCHS[case].extra)
        with torch.device('meta'):
            ours = build(case)
        shapes = {name: tuple(t.shape) for name, t in theirs.state_dict().items()}
        assert {name: tuple(t.shape) for name, t in ours.state_dict().items()} == shapes

    def test_gradient_reaches_every_parameter(self, case: tuple[str, str]) -> None:
        model = build(case).eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.ones_(module.bias)  # lest a ReLU of five units be dead by chance
        model(torch.rand(1, 3, 64, 64))[0].square().sum().backward()
        gradients = [p.grad for p in model.parameters()]
        assert gradients
        assert all(g is not None and g.abs().sum() > 0 for g in gradients)

    def test_eval_and_train_return_the_model(self, case: tuple[str, str]) -> None:
        with torch.device('meta'):
            model = build(case)
        assert model.eval() is model
        assert model.train() is model

    def test_copy_and_pickle_compute_the_same(self, case: tuple[str, str]) -> None:
        model = build(case).eval()
        x = torch.rand(1, 3, 32, 32)
        with torch.no_grad():
            expected = model(x)[0]
            assert torch.equal(copy.deepcopy(model)(x)[0], expected)
            assert torch.equal(pickle.loads(pickle.dumps(model))(x)[0], expected)


@pytest.mark.parametrize('case', GRAPHS, ids='-'.join)
def test_no_graph_break(case: tuple[str, str]) -> None:
    # Further modules of a stage add nothing to the graph but time to trace it.
    extra = replace(ARCHS[case], modules=(1, 1, 1)).extra
    with torch.device('meta'):
        model = getattr(models, case[0])(extra).eval()
        explanation = torch._dynamo.explain(model)(torch.rand(1, 3, 64, 64))
    assert explanation.graph_count == 1
    assert explanation.graph_break_count == 0


def published_table() -> list[tuple[str, ...]]:
    """Rows of README's table: model, height, width, parameters, multiply-accumulates."""
    text = (ROOT / 'README.md').read_text()
    return re.findall(r'^\| (\S.+?) \| (\d+)x(\d+) \| ([\d,]+) \| ([\d,]+) \|', text, re.MULTILINE)


TITLES = {
    **{f'hrnet-{arch}': ('HRNet', arch) for arch in HRNET_ARCHS},
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


@pytest.mark.parametrize('row', published_table(), ids=lambda row: f'{row[0]}-{row[1]}x{row[2]}')
def test_readme_counts_are_true(row: tuple[str, ...]) -> None:
    title, height, width, *counts = row
    case = TITLES[title.lower()]
    with torch.device('meta'):
        head = nn.Conv2d(ARCHS[case].width, 17, 1)
        backbone = build(case).eval()
        model = nn.Sequential(backbone, First(), head)
        total = macs(model, torch.empty(1, 3, int(height), int(width)))
    assert [f'{parameters(model):,}', f'{total:,}'] == counts


def test_readme_lists_every_arch() -> None:
    assert {TITLES[row[0].lower()] for row in published_table()} == set(ARCHS)
