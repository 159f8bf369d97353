"""Checkpoints of every published layout load strictly and compute the same."""

import copy
import os
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.runner.checkpoint import load_checkpoint
from mmpose.models import build_pose_estimator
from mmpose.models.backbones import HRFormer as StockHRFormer
from mmpose.models.backbones import HRNet as StockHRNet
from mmpose.models.backbones import LiteHRNet as StockLiteHRNet
from mmpose.utils import register_all_modules
from support.official_models import HeadOf0x, ModelOf0x, hrformer
from torch import Tensor, nn

from hrnet_plugin.apis import convert_checkpoint, convert_file, convert_state_dict, read_checkpoint
from hrnet_plugin.checkpoints.layouts import LAYOUTS
from hrnet_plugin.checkpoints.published import find_family, vocabulary, words_of
from hrnet_plugin.checkpoints.renaming import WORDS
from hrnet_plugin.models import (
    HRFPN,
    ClassificationNeck,
    ConcatStreams,
    HeatmapHead,
    HRFormer,
    HRNet,
)
from hrnet_plugin.models.archs import HRFORMER_ARCHS, HRNET_ARCHS, LITEHRNET_ARCHS
from hrnet_plugin.models.families import FAMILIES

K = 17
SMALL = 'w18-small-v1'
WIDTH = HRNET_ARCHS[SMALL].width
SLOW = ('w30', 'w40', 'w44', 'w48', 'w64', 'lite-30', 'base')  # deep, and like others here
ARCHS = [
    pytest.param(family.name, arch, marks=[pytest.mark.slow] if arch in SLOW else [])
    for family in FAMILIES.values()
    for arch in family.archs
]
State = dict[str, Tensor]


@pytest.fixture(autouse=True, scope='module')
def _registered() -> None:
    register_all_modules()


def pose_model(
    family: str,
    channels: int,
    head: dict[str, Any] | None = None,
    neck: dict[str, Any] | None = None,
    **options: Any,
):
    """A model of this plugin in float64, as a config builds it."""
    model = build_pose_estimator(
        dict(
            type='hrnet_plugin.TopdownPoseEstimator',
            backbone=dict(type=f'hrnet_plugin.{family}', **options),
            neck=neck,
            head=dict(type='hrnet_plugin.HeatmapHead', in_channels=channels, out_channels=K)
            | (head or {}),
        )
    )
    return model.double()


def scrambled(model: nn.Module) -> nn.Module:
    """The model for inference in float64 with numbers that differ everywhere."""
    generator = torch.manual_seed(0)
    for name, tensor in model.double().state_dict().items():
        if name.endswith('num_batches_tracked'):
            tensor.fill_(7)
        elif tensor.is_floating_point():
            if tensor.ndim < 2:
                tensor.uniform_(0.5, 1.5, generator=generator)
            tensor.mul_(torch.rand(tensor.shape, generator=generator).double() + 0.5)
    nn.Module.train(model, False)  # stock's eval() returns None
    return model


def heatmaps(model: nn.Module, x: Tensor) -> Tensor:
    model.eval()
    with torch.no_grad():
        return model.head(model.backbone(x))


def image(height: int = 64, width: int = 64) -> Tensor:
    return torch.randn(2, 3, height, width, dtype=torch.float64, generator=torch.manual_seed(1))


def assert_same(a: Tensor, b: Tensor) -> None:
    assert b.std() > 0
    assert (a - b).norm() <= 1e-9 * b.norm()


def without(state: State, prefix: str) -> State:
    assert all(name.startswith(prefix) for name in state)
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


@pytest.fixture(scope='module')
def hrnet() -> State:
    """A whole HRNet of MMPose 1.x."""
    return scrambled(pose_model('HRNet', WIDTH, arch=SMALL)).state_dict()


@pytest.fixture(scope='module')
def official_hrnet(hrnet: State) -> State:
    """The same as the HRNet pose repository names it."""
    return {n.removeprefix('backbone.').removeprefix('head.'): t for n, t in hrnet.items()}


class TestOfficialHRNet:
    def test_computes_the_same(self) -> None:
        """The repository's model is MMPose's without prefixes."""
        backbone = scrambled(StockHRNet(HRNET_ARCHS[SMALL].extra))
        final = scrambled(nn.Conv2d(WIDTH, K, 1))
        state = OrderedDict(backbone.state_dict())
        state.update({f'final_layer.{n}': t for n, t in final.state_dict().items()})
        conversion = convert_checkpoint(state)
        assert str(conversion) == (
            f'official HRNet pose model: HRNet {SMALL}, 17 keypoints, {len(state)} tensors'
        )
        assert conversion.notes == ()
        model = pose_model('HRNet', WIDTH, arch=SMALL)
        model.load_state_dict(conversion.state_dict, strict=True)
        with torch.no_grad():
            assert_same(heatmaps(model, image()), final(backbone(image())[0]))

    def test_of_torch_before_counters(self, official_hrnet: State) -> None:
        """torch 0.4.0 wrote no num_batches_tracked; loading fills it in."""
        old = {n: t for n, t in official_hrnet.items() if not n.endswith('tracked')}
        assert len(old) < len(official_hrnet)
        conversion = convert_checkpoint(old)
        assert conversion.model.arch == SMALL
        pose_model('HRNet', WIDTH, arch=SMALL).load_state_dict(conversion.state_dict, strict=True)


# Some names of each part of the head, as the repositories' code makes them
HEADS = {
    'official ImageNet classifier': (
        'incre_modules.0.0.conv1.weight',
        'incre_modules.3.0.downsample.1.running_var',
        'downsamp_modules.2.0.bias',
        'final_layer.0.weight',
        'final_layer.1.num_batches_tracked',
        'classifier.weight',
    ),
    'ImageNet classifier of the HRNet pose repository': (
        'head.0.0.0.conv1.weight',
        'head.0.1.0.downsample.0.weight',
        'classifier.bias',
    ),
    'MMPretrain classifier': (
        'neck.increase_layers.0.0.conv1.weight',
        'neck.final_layer.conv.weight',
        'head.fc.weight',
    ),
}


class TestImageNet:
    @pytest.mark.parametrize('layout', HEADS)
    def test_drops_the_head_with_a_note(self, layout: str) -> None:
        backbone = scrambled(HRNet(arch=SMALL, multiscale_output=True)).state_dict()
        prefix = 'backbone.' if layout.startswith('MM') else ''
        checkpoint = {f'{prefix}{n}': t for n, t in backbone.items()}
        checkpoint |= {name: torch.zeros(3) for name in HEADS[layout]}
        conversion = convert_checkpoint(checkpoint)
        assert conversion.layout == layout
        assert str(conversion.model) == f'HRNet {SMALL}, no head'
        dropped = [note for note in conversion.notes if note.startswith('dropped')]
        assert len(dropped) == 1
        parts = {name.split('.')[0] for name in HEADS[layout]}
        assert all(part in dropped[0] for part in parts)
        assert f'dropped {len(HEADS[layout])} tensors' in dropped[0]
        assert 'classification head' in dropped[0]
        assert any('multiscale_output=True' in note for note in conversion.notes)
        assert any("prefix='backbone'" in note for note in conversion.notes)
        loaded = HRNet(arch=SMALL, multiscale_output=True).double()
        loaded.load_state_dict(without(conversion.state_dict, 'backbone.'), strict=True)
        for name, tensor in loaded.state_dict().items():
            assert torch.equal(tensor, backbone[name])

    def test_hrformer_keeps_its_position_bias(self) -> None:
        official = scrambled(hrformer(small_hrformer(), add_bias=True)).state_dict()
        checkpoint = official | {'incre_modules.0.0.conv1.weight': torch.zeros(3)}
        conversion = convert_checkpoint(checkpoint)
        assert conversion.model.family == 'HRFormer'
        name = 'stage4.0.branches.3.1.attn.attn.relative_position_bias_table'
        assert torch.equal(conversion.state_dict[f'backbone.{name}'], official[name])


def small_lite(kind: str) -> dict[str, Any]:
    extra = LITEHRNET_ARCHS['lite-18' if kind == 'LITE' else 'naive-18'].extra
    channels = ((16, 32), (16, 32, 64), (16, 32, 64, 128))
    extra['stages_spec'] |= dict(num_modules=(1, 1, 1), num_channels=channels)
    return extra


class TestMMPose0:
    """Official Lite-HRNet is among them."""

    @pytest.mark.parametrize('kind', ['LITE', 'NAIVE'])
    def test_lite_hrnet(self, kind: str) -> None:
        official = scrambled(ModelOf0x(StockLiteHRNet(small_lite(kind)), HeadOf0x(16, K)))
        conversion = convert_checkpoint(official.state_dict())
        assert conversion.layout == 'official Lite-HRNet or MMPose 0.x model'
        assert str(conversion.model) == 'LiteHRNet of a custom architecture, 17 keypoints'
        model = pose_model('LiteHRNet', 16, extra=small_lite(kind))
        model.load_state_dict(conversion.state_dict, strict=True)
        with torch.no_grad():
            assert_same(heatmaps(model, image()), official(image()))

    def test_official_naive_head_reads_30_channels(self) -> None:
        """Its config says 40; its weights are of the 30 that the backbone outputs."""
        with torch.device('meta'):
            model = ModelOf0x(StockLiteHRNet(LITEHRNET_ARCHS['naive-18'].extra), HeadOf0x(30, 16))
        conversion = convert_checkpoint(model.state_dict())
        assert str(conversion.model) == 'LiteHRNet naive-18, 16 keypoints'
        assert conversion.state_dict['head.final_layer.weight'].shape == (16, 30, 1, 1)

    @pytest.mark.parametrize(('deconv', 'conv'), [(0, 0), (8, 0), (0, 1), (8, 2)])
    def test_heads(self, deconv: int, conv: int) -> None:
        official = scrambled(
            ModelOf0x(
                StockHRNet(HRNET_ARCHS[SMALL].extra), HeadOf0x(WIDTH, K, deconv=deconv, conv=conv)
            )
        )
        conversion = convert_checkpoint(official.state_dict())
        assert str(conversion).startswith(f'MMPose 0.x model: HRNet {SMALL}, 17 keypoints')
        head: dict[str, Any] = {}
        if deconv:
            head |= dict(deconv_out_channels=(deconv,), deconv_kernel_sizes=(4,))
        if conv:
            head |= dict(
                conv_out_channels=(deconv or WIDTH,) * conv, conv_kernel_sizes=(3,) * conv
            )
        model = pose_model('HRNet', WIDTH, head, arch=SMALL)
        model.load_state_dict(conversion.state_dict, strict=True)
        with torch.no_grad():
            assert_same(heatmaps(model, image()), official(image()))


def small_hrformer(**options: Any) -> dict[str, Any]:
    """Several heads in each stream, so that how they are split shows."""
    extra = HRFORMER_ARCHS['small'].extra
    for i, stage in enumerate(('stage2', 'stage3', 'stage4'), start=2):
        extra[stage] |= dict(
            num_modules=1,
            num_channels=tuple(12 * 2**s for s in range(i)),
            num_heads=tuple(2 * 2**s for s in range(i)),
        )
    return extra | dict(drop_path_rate=0.0) | options


def official_hrformer(add_bias: bool) -> nn.Module:
    return scrambled(ModelOf0x(hrformer(small_hrformer(), add_bias), HeadOf0x(12, K)))


class TestOfficialHRFormer:
    # Streams of 16x24 to 2x3: windows of 7 need padding on both axes.
    IMAGE = (64, 96)

    @pytest.mark.parametrize(
        ('add_bias', 'choice', 'with_rpe'),
        [(False, None, True), (False, 'drop', False), (True, 'keep', True)],
    )
    @pytest.mark.parametrize('backbone', [HRFormer, StockHRFormer])
    def test_computes_the_same(
        self, backbone: type, add_bias: bool, choice: Any, with_rpe: bool
    ) -> None:
        official = official_hrformer(add_bias)
        conversion = convert_checkpoint(official.state_dict(), position_bias=choice)
        assert conversion.layout == 'official HRFormer pose model'
        model = pose_model('HRFormer', 12, extra=small_hrformer(with_rpe=with_rpe))
        model.backbone = backbone(small_hrformer(with_rpe=with_rpe)).double()
        model.load_state_dict(conversion.state_dict, strict=True)
        with torch.no_grad():
            assert_same(heatmaps(model, image(*self.IMAGE)), official(image(*self.IMAGE)))

    def test_bias_matters(self) -> None:
        """Otherwise the comparison above would not cover it."""
        x = image(*self.IMAGE)
        with torch.no_grad():
            a, b = (official_hrformer(add_bias)(x) for add_bias in (False, True))
        assert (a - b).norm() > 1e-3 * a.norm()

    def test_notes_what_became_of_the_bias(self) -> None:
        state = official_hrformer(False).state_dict()
        tables = [name for name in state if name.endswith('bias_table')]
        assert len(tables) == 18  # 2 blocks in each of 2 + 3 + 4 streams
        zeroed = convert_checkpoint(state)
        assert f'zeroed the position biases ({len(tables)} tensors)' in zeroed.notes[0]
        assert 'official pose code' in zeroed.notes[0]
        assert all(zeroed.state_dict[name].eq(0).all() for name in tables)
        assert not state[tables[0]].eq(0).any()  # the checkpoint is left as it was
        dropped = convert_checkpoint(state, position_bias='drop')
        assert any('with_rpe=False' in note for note in dropped.notes)
        assert not any('relative_position' in name for name in dropped.state_dict)
        assert convert_checkpoint(state, position_bias='keep').notes == ()

    def test_index_is_stocks(self) -> None:
        state = convert_checkpoint(official_hrformer(True).state_dict()).state_dict
        stock = StockHRFormer(small_hrformer()).state_dict()
        names = [name for name in stock if name.endswith('relative_position_index')]
        assert names
        for name in names:
            assert torch.equal(state[f'backbone.{name}'], stock[name])

    def test_lone_projection(self) -> None:
        state = official_hrformer(True).state_dict()
        del state['backbone.stage2.0.branches.0.0.attn.attn.k_proj.weight']
        with pytest.raises(ValueError, match=r'but no .*stage2.0.branches.0.0.*k_proj\.weight'):
            convert_checkpoint(state)

    def test_unknown_choice(self) -> None:
        with pytest.raises(ValueError, match="position_bias 'keeep'; did you mean 'keep'"):
            convert_checkpoint({}, position_bias='keeep')  # type: ignore[arg-type]


def official_names(family: str, state: State) -> State:
    """Names of MMPose 1.x back to those of the official repositories, shapes only."""
    if family == 'HRNet':
        return {n.removeprefix('backbone.').removeprefix('head.'): t for n, t in state.items()}
    out: State = {}
    for name, tensor in state.items():
        name = name.replace('head.final_layer', 'keypoint_head.final_layer')
        name = name.replace('.attn.attn.proj.', '.attn.attn.out_proj.').replace('.ffn.', '.mlp.')
        if '.qkv.' in name:
            third = tensor[: len(tensor) // 3]
            out |= {name.replace('.qkv.', f'.{p}_proj.'): third for p in 'kvq'}
        else:
            out[name] = tensor
    return out


@pytest.mark.parametrize(('family', 'arch'), ARCHS)
def test_every_architecture_is_recognised_and_complete(family: str, arch: str) -> None:
    with torch.device('meta'):
        backbone = FAMILIES[family].build(arch).state_dict()
        final = nn.Conv2d(FAMILIES[family].archs[arch].width, K, 1).state_dict()
    expected = {f'backbone.{n}': t for n, t in backbone.items()}
    expected |= {f'head.final_layer.{n}': t for n, t in final.items()}
    conversion = convert_checkpoint(official_names(family, expected))
    assert str(conversion.model) == f'{family} {arch}, 17 keypoints'
    assert 'official' in conversion.layout
    assert {n: t.shape for n, t in conversion.state_dict.items()} == {
        n: t.shape for n, t in expected.items()
    }


class TestVocabulary:
    """Words of names are read from the models themselves."""

    def test_of_families(self) -> None:
        """Some words of each family that no other one has."""
        lite, hrnet, hrformer = map(vocabulary, ('LiteHRNet', 'HRNet', 'HRFormer'))
        assert {'stem', 'branch2', 'spatial_weighting', 'projects'} <= lite - hrnet - hrformer
        assert {'qkv', 'dw3x3', 'relative_position_bias_table'} <= hrformer - hrnet - lite
        assert {'layer1', 'stage4', 'transition3', 'fuse_layers'} <= hrnet < hrformer

    def test_of_the_head(self) -> None:
        head = HeatmapHead(
            in_channels=2,
            out_channels=3,
            deconv_out_channels=(4,),
            deconv_kernel_sizes=(4,),
            conv_out_channels=(5,),
            conv_kernel_sizes=(1,),
        )
        assert words_of(head.state_dict()) == WORDS['head']

    def test_of_necks(self) -> None:
        widths = (8, 16, 32, 64)
        necks = (ConcatStreams(widths, mixing=True), HRFPN(widths, 8), ClassificationNeck(widths))
        assert frozenset().union(*(words_of(neck.state_dict()) for neck in necks)) == WORDS['neck']

    def test_of_other_norms(self) -> None:
        norm = dict(type='GN', num_groups=2)
        with torch.device('meta'):
            state = HRNet(arch=SMALL, norm_cfg=norm).state_dict()
        assert 'stage2.0.branches.0.0.gn1.weight' in state
        assert convert_checkpoint(state).model.family == 'HRNet'

    @pytest.mark.parametrize(('family', 'arch'), [('LiteHRNet', 'naive-18'), ('HRFormer', 'tiny')])
    def test_the_family_is_that_of_most_words(self, family: str, arch: str) -> None:
        """Also of a backbone with a word that no family has."""
        with torch.device('meta'):
            names = [*FAMILIES[family].build(arch).state_dict(), 'stage4.adapter.weight']
        assert find_family(names) == family


class TestMMPose1:
    def test_is_left_as_it_is(self, hrnet: State) -> None:
        conversion = convert_checkpoint(hrnet)
        assert conversion.layout == 'MMPose 1.x model'
        assert conversion.state_dict.keys() == hrnet.keys()
        assert all(conversion.state_dict[name] is not None for name in hrnet)
        assert all(torch.equal(conversion.state_dict[n], hrnet[n]) for n in hrnet)

    @pytest.mark.parametrize('prefix', ['backbone.', ''])
    def test_backbone_alone(self, hrnet: State, prefix: str) -> None:
        backbone = {n: t for n, t in hrnet.items() if n.startswith('backbone.')}
        conversion = convert_checkpoint(
            {prefix + n.removeprefix('backbone.'): t for n, t in backbone.items()}
        )
        assert conversion.layout == 'backbone alone'
        assert str(conversion.model) == f'HRNet {SMALL}, no head'
        assert conversion.state_dict.keys() == backbone.keys()

    @pytest.mark.parametrize(
        'neck',
        [dict(type='ConcatStreams', mixing=True), dict(type='HRFPN', out_channels=8)],
        ids=str,
    )
    @pytest.mark.parametrize('keypoints', [None, 5])
    def test_with_a_neck(self, neck: dict[str, Any], keypoints: int | None) -> None:
        """Also one that detectors have; nothing of it is left out."""
        channels = 8 if neck['type'] == 'HRFPN' else 15 * WIDTH
        widths = [WIDTH * 2**i for i in range(4)]
        neck = neck | dict(type=f'hrnet_plugin.{neck["type"]}', in_channels=widths)
        options = dict(arch=SMALL, multiscale_output=True)
        model = scrambled(pose_model('HRNet', channels, neck=neck, **options))
        state = model.state_dict()
        conversion = convert_checkpoint(dict(state_dict=state), num_keypoints=keypoints)
        assert conversion.layout == 'MMPose 1.x model'
        assert str(conversion.model) == f'HRNet {SMALL}, {keypoints or K} keypoints'
        head = dict(out_channels=keypoints or K)
        loaded = pose_model('HRNet', channels, head, neck=neck, **options)
        loaded.load_state_dict(conversion.state_dict, strict=True)
        kept = [n for n in state if not keypoints or 'final_layer' not in n]
        assert all(torch.equal(loaded.state_dict()[n], state[n]) for n in kept)
        assert sum(n.startswith('neck.') for n in kept) > 5

    def test_without_position_bias(self) -> None:
        """MMPose's first HRFormers had none."""
        with torch.device('meta'):
            state = HRFormer(small_hrformer(with_rpe=False)).state_dict()
        conversion = convert_checkpoint(state)
        assert 'with_rpe=False' in conversion.notes[0]

    def test_types_stay(self, hrnet: State) -> None:
        half = {n: t.half() if t.is_floating_point() else t for n, t in hrnet.items()}
        converted = convert_checkpoint(half, num_keypoints=5).state_dict
        assert {t.dtype for t in converted.values()} == {torch.float16, torch.int64}
        pose_model('HRNet', WIDTH, dict(out_channels=5), arch=SMALL).load_state_dict(converted)


class TestArchitecture:
    def test_custom(self, hrnet: State) -> None:
        extra = HRNET_ARCHS[SMALL].extra
        extra['stage3'] |= dict(num_modules=2)
        state = pose_model('HRNet', WIDTH, extra=extra).state_dict()
        conversion = convert_checkpoint(state)
        assert str(conversion.model) == 'HRNet of a custom architecture, 17 keypoints'
        assert conversion.notes == ()
        assert conversion.state_dict.keys() == state.keys()

    def test_a_lost_tensor_is_named(self, official_hrnet: State) -> None:
        corrupt = dict(official_hrnet)
        del corrupt['stage3.0.branches.1.0.conv2.weight']
        corrupt['layer1.0.conv2.weight'] = corrupt['layer1.0.conv2.weight'][:, :5]
        conversion = convert_checkpoint(corrupt)
        assert conversion.model.arch is None
        note = conversion.notes[0]
        assert f'2 tensors differ from HRNet {SMALL}' in note
        assert 'backbone.stage3.0.branches.1.0.conv2.weight is missing' in note
        assert 'backbone.layer1.0.conv2.weight is (32, 5, 3, 3) instead of (32, 32, 3, 3)' in note

    def test_optional_tensors_are_all_there_or_none(self) -> None:
        """Rows for streams 1 to 3 may be absent, but not one of them."""
        with torch.device('meta'):
            state = HRNet(arch=SMALL, multiscale_output=True).state_dict()
        assert convert_checkpoint(state).model.arch == SMALL
        del state['stage4.0.fuse_layers.2.0.1.0.weight']
        note = convert_checkpoint(state).notes[0]
        assert 'backbone.stage4.0.fuse_layers.2.0.1.0.weight is missing' in note


def numbered(state: State, value: float) -> State:
    """A state dict of the same names whose weights are all one number."""
    return {n: torch.full_like(t, value) for n, t in state.items()}


WRAPPERS = {
    'bare': lambda s: s,
    'state_dict': lambda s: dict(state_dict=s, epoch=3, optimizer=dict(state={}, param_groups=[])),
    'DataParallel': lambda s: {f'module.{n}': t for n, t in s.items()},
    'twice': lambda s: dict(state_dict={f'module.module.{n}': t for n, t in s.items()}),
    'compiled in DDP': lambda s: dict(model={f'module._orig_mod.{n}': t for n, t in s.items()}),
    'Lightning': lambda s: dict(state_dict={f'model.{n}': t for n, t in s.items()}),
    'nested': lambda s: dict(model=dict(state_dict=dict(module=s))),
    # The official HRNet repository's checkpoint.pth
    'official training': lambda s: dict(
        epoch=210,
        model='pose_hrnet',
        state_dict={f'module.{n}': t for n, t in s.items()},
        best_state_dict=numbered(s, 9),
        perf=np.float64(0.74),
        optimizer={},
    ),
    'averaged first': lambda s: dict(model=numbered(s, 9), ema=s),
    'timm': lambda s: dict(state_dict=numbered(s, 9), state_dict_ema=s),
    'torchvision': lambda s: dict(
        model=numbered(s, 9),
        model_ema={f'module.{n}': t for n, t in s.items()} | dict(n_averaged=torch.tensor(4)),
    ),
    'ema alone': lambda s: dict(ema_state_dict={f'module.{n}': t for n, t in s.items()}),
    'averaged, not by MMEngine': lambda s: dict(state_dict=numbered(s, 9), ema_state_dict=s),
    'empty': lambda s: dict(ema={}, state_dict=s),
}


class TestWrappings:
    @pytest.mark.parametrize('wrapping', WRAPPERS)
    @pytest.mark.parametrize('layout', ['official', 'MMPose 1.x'])
    def test_weights_are_found(
        self, hrnet: State, official_hrnet: State, layout: str, wrapping: str
    ) -> None:
        wrapped = WRAPPERS[wrapping](official_hrnet if layout == 'official' else hrnet)
        converted = convert_checkpoint(wrapped).state_dict
        assert converted.keys() == hrnet.keys()
        assert all(torch.equal(converted[n], hrnet[n]) for n in hrnet)

    def test_choice_is_noted(self, hrnet: State) -> None:
        notes = convert_checkpoint(WRAPPERS['averaged first'](hrnet)).notes
        assert notes == ("took 'ema', the averaged weights, and left 'model'",)
        assert convert_checkpoint(WRAPPERS['state_dict'](hrnet)).notes == ()

    def test_mmengine_swaps_averaged_and_trained_weights(self) -> None:
        """Its EMAHook saves the averaged weights as state_dict."""
        model = pose_model('HRNet', WIDTH, arch=SMALL)
        average = ExponentialMovingAverage(model)
        nn.init.constant_(model.backbone.conv1.weight, 3.0)  # as if training moved it
        trained, averaged = model.state_dict(), average.module.state_dict()
        ema = average.state_dict()
        assert 'steps' in ema
        swapped = {n: trained.get(n.removeprefix('module.'), t) for n, t in ema.items()}
        conversion = convert_checkpoint(dict(state_dict=averaged, ema_state_dict=swapped))
        assert conversion.notes[0] == (
            "took 'state_dict', the averaged weights, and left 'ema_state_dict'"
        )
        assert not conversion.state_dict['backbone.conv1.weight'].eq(3).any()
        assert len(conversion.state_dict) == len(trained)

    def test_mmcv_keeps_trained_weights_as_buffers(self, hrnet: State) -> None:
        names = {n: n.replace('head.', 'keypoint_head.') for n in hrnet}
        state = {names[n]: t for n, t in hrnet.items()}
        state |= {f'ema_{names[n].replace(".", "_")}': t * 0 for n, t in hrnet.items()}
        conversion = convert_checkpoint(dict(state_dict=state))
        assert conversion.state_dict.keys() == hrnet.keys()
        assert f'dropped {len(hrnet)} tensors' in conversion.notes[0]
        assert 'EMAHook' in conversion.notes[0]

    def test_nothing_is_changed(self, hrnet: State) -> None:
        checkpoint = WRAPPERS['twice'](hrnet)
        before = copy.deepcopy(checkpoint)
        convert_checkpoint(checkpoint, num_keypoints=5)
        assert checkpoint['state_dict'].keys() == before['state_dict'].keys()
        for name, tensor in before['state_dict'].items():
            assert torch.equal(checkpoint['state_dict'][name], tensor)


class TestUnknown:
    def test_layout(self) -> None:
        """The error lists the known layouts."""
        resnet = {f'layer{i}.0.conv1.weight': torch.zeros(1) for i in range(9)}
        with pytest.raises(ValueError, match=r'begin with layer0.0.conv1.weight, .*, …;') as error:
            convert_checkpoint(resnet)
        assert all(layout.title in str(error.value) for layout in LAYOUTS)

    @pytest.mark.parametrize(
        'name',
        [
            'stage5.0.conv1.weight',
            'stage2.0.branches.0.0.conv1.wieght',
            'last_layer.0.weight',
            'head.0.weight',  # of the official facial landmark models
            'backbone.conv1.weight',
        ],
    )
    def test_names(self, official_hrnet: State, name: str) -> None:
        with pytest.raises(ValueError, match=f'1 of 351 names .*: {name}; known layouts: offic'):
            convert_checkpoint(official_hrnet | {name: torch.zeros(1)})

    def test_head(self, hrnet: State) -> None:
        """Bottom-up models have other heads."""
        state = hrnet | {'head.final_layers.0.weight': torch.zeros(1)}
        with pytest.raises(
            ValueError, match=r'"MMPose 1.x model", but 1 .*: head\.final_layers\.0'
        ):
            convert_checkpoint(state)

    def test_backbone(self) -> None:
        resnet = {'backbone.layer2.0.conv1.weight': torch.zeros(1)}
        with pytest.raises(ValueError, match=r'names begin with backbone\.layer2'):
            convert_checkpoint(resnet | {'keypoint_head.final_layer.weight': torch.zeros(1)})

    def test_two_of_one_name(self, hrnet: State) -> None:
        state = {n.replace('head.', 'keypoint_head.'): t for n, t in hrnet.items()}
        state |= {f'{HALF}.out_proj.bias': torch.zeros(1), f'{HALF}.proj.bias': torch.zeros(1)}
        with pytest.raises(ValueError, match=f"two tensors .* become '{HALF}.proj.bias'"):
            convert_checkpoint(state)

    def test_values_other_than_tensors(self, official_hrnet: State) -> None:
        with pytest.raises(ValueError, match=r'1 of 351 names are not known there: epoch;'):
            convert_checkpoint(official_hrnet | dict(epoch=3))

    @pytest.mark.parametrize('nothing', [{}, dict(state_dict={}), dict(epoch=3)])
    def test_nothing(self, nothing: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r'no weights|not a known checkpoint'):
            convert_checkpoint(nothing)

    def test_no_dict(self) -> None:
        with pytest.raises(ValueError, match='a checkpoint is a dict; this is a list'):
            convert_checkpoint([torch.zeros(1)])  # type: ignore[arg-type]


HALF = 'backbone.stage2.0.branches.0.0.attn.attn'


class TestKeypoints:
    def test_only_the_final_layer_changes(self, official_hrnet: State, hrnet: State) -> None:
        conversion = convert_checkpoint(official_hrnet, num_keypoints=5)
        assert conversion.model.keypoints == 5
        assert conversion.notes == ('re-initialised the final layer: 5 keypoints instead of 17',)
        state = conversion.state_dict
        for name in hrnet:
            if not name.startswith('head.final_layer.'):
                assert torch.equal(state[name], hrnet[name])
        assert state['head.final_layer.weight'].shape == (5, WIDTH, 1, 1)
        assert state['head.final_layer.bias'].eq(0).all()
        model = pose_model('HRNet', WIDTH, dict(out_channels=5), arch=SMALL)
        model.load_state_dict(state, strict=True)
        with pytest.raises(ValueError, match=r'17 keypoints .*\.out_channels=5'):
            model.load_state_dict(convert_checkpoint(official_hrnet).state_dict)

    def test_initialised_as_published_and_alike_each_time(self) -> None:
        with torch.device('meta'):
            backbone = HRNet(arch=SMALL).state_dict()
        state = {f'backbone.{n}': t for n, t in backbone.items()}
        state['head.final_layer.weight'] = torch.ones(17, 2000, 1, 1)
        first, second = (
            convert_checkpoint(state, num_keypoints=50).state_dict['head.final_layer.weight']
            for _ in range(2)
        )
        assert first.std().item() == pytest.approx(0.001, rel=0.02)
        assert first.mean().abs() < 1e-5
        assert torch.equal(first, second)

    def test_same_number_changes_nothing(self, hrnet: State) -> None:
        conversion = convert_checkpoint(hrnet, num_keypoints=K)
        name = 'head.final_layer.weight'
        assert torch.equal(conversion.state_dict[name], hrnet[name])
        assert conversion.notes == ()

    def test_no_final_layer(self, hrnet: State) -> None:
        backbone = {n: t for n, t in hrnet.items() if n.startswith('backbone.')}
        with pytest.raises(ValueError, match=r'num_keypoints=5, but .* no final layer'):
            convert_checkpoint(backbone, num_keypoints=5)

    def test_too_few(self, hrnet: State) -> None:
        with pytest.raises(ValueError, match='num_keypoints is 0; expected 1 or more'):
            convert_checkpoint(hrnet, num_keypoints=0)


def test_a_checkpoint_that_contains_itself() -> None:
    checkpoint: dict[str, Any] = {}
    checkpoint.update(state_dict=checkpoint, model=checkpoint)
    with pytest.raises(ValueError, match='not a known checkpoint'):
        convert_checkpoint(checkpoint)
    checkpoint['weight'] = torch.ones(1)
    with pytest.raises(ValueError, match='nested more than 4 deep, or contains itself'):
        convert_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ('name', 'tensor', 'message'),
    [
        ('final_layer.weight', torch.ones(()), 'has shape .*; expected that of a convolution'),
        (
            'stage2.0.branches.0.0.attn.attn.q_proj.weight',
            torch.ones(2),
            'have shapes .* the same',
        ),
        (
            'stage2.0.branches.0.0.attn.attn.q_proj.weight',
            torch.ones(()),
            'have shapes .* the sam',
        ),
    ],
)
def test_tensors_of_another_shape(name: str, tensor: Tensor, message: str) -> None:
    attention = 'stage2.0.branches.0.0.attn.attn'
    state = {f'{attention}.{part}_proj.weight': torch.ones(2, 2) for part in 'qkv'}
    state |= {'final_layer.weight': torch.ones(17, 2, 1, 1)}
    state[name] = tensor
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(state, num_keypoints=5)


def test_a_dataset_meta_of_another_kind(hrnet: State, tmp_path: Path) -> None:
    meta = dict(dataset_meta=dict(num_keypoints=torch.ones(2)))
    torch.save(dict(state_dict=hrnet, meta=meta), tmp_path / 'in.pth')
    convert_file(tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert 'dataset_meta' not in torch.load(tmp_path / 'out.pth')['meta']


def test_state_dict_alone_warns(official_hrnet: State, hrnet: State) -> None:
    with pytest.warns(
        UserWarning, match='re-initialised the final layer: 5 keypoints instead of 17'
    ):
        assert convert_state_dict(official_hrnet, num_keypoints=5).keys() == hrnet.keys()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        convert_state_dict(official_hrnet)


class Evil:
    """Runs a command when it is unpickled by a loader that is not safe."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ('unpickled',)


class Config(dict):
    """As yacs' CfgNode, which official HRFormer classifiers have beside their weights."""


class TestFiles:
    @pytest.fixture
    def source(self, tmp_path: Path, official_hrnet: State) -> Path:
        torch.save(dict(state_dict=official_hrnet), tmp_path / 'in.pth')
        return tmp_path / 'in.pth'

    def test_mmengine_loads_what_is_written(self, source: Path, hrnet: State) -> None:
        target = source.with_name('out.pth')
        conversion = convert_file(source, target)
        assert str(conversion).startswith('official HRNet pose model')
        assert sorted(p.name for p in source.parent.iterdir()) == ['in.pth', 'out.pth']
        model = pose_model('HRNet', WIDTH, arch=SMALL)
        checkpoint = load_checkpoint(model, str(target), strict=True)
        assert all(torch.equal(t, hrnet[n]) for n, t in model.state_dict().items())
        assert checkpoint['meta']['model'] == f'HRNet {SMALL}, 17 keypoints'

    def test_loads_where_no_type_is_allowed(self, source: Path) -> None:
        """Plain types only: also where the plugin is not imported."""
        target = source.with_name('out.pth')
        convert_file(source, target)
        assert torch.serialization.get_unsafe_globals_in_checkpoint(str(target)) == []

    def test_pretrained_backbone(self, source: Path) -> None:
        """As the note says, although nothing reads some streams."""
        classifier = scrambled(HRNet(arch=SMALL, multiscale_output=True)).float().state_dict()
        torch.save(
            classifier | dict.fromkeys(HEADS['official ImageNet classifier'], torch.ones(3)),
            source,
        )
        conversion = convert_file(source, source, overwrite=True)
        init_cfg = dict(type='Pretrained', checkpoint=str(source), prefix='backbone')
        assert any("checkpoint=FILE, prefix='backbone'" in note for note in conversion.notes)
        backbone = HRNet(arch=SMALL, init_cfg=init_cfg)
        backbone.init_weights()
        for name, tensor in backbone.state_dict().items():
            assert torch.equal(tensor, classifier[name])

    @pytest.mark.parametrize('legacy', [False, True])
    def test_cut_short(self, source: Path, official_hrnet: State, legacy: bool) -> None:
        torch.save(official_hrnet, source, _use_new_zipfile_serialization=not legacy)
        convert_checkpoint(read_checkpoint(source))
        whole = source.read_bytes()
        for size in (0, 10, len(whole) // 2, len(whole) - 1):
            source.write_bytes(whole[:size])
            with pytest.raises(ValueError, match=r'in\.pth is cut short, corrupt .* again'):
                convert_file(source, source.with_name('out.pth'))
        assert not source.with_name('out.pth').exists()

    def test_corrupt_inside(self, source: Path) -> None:
        """torch.load itself does not see it."""
        content = bytearray(source.read_bytes())
        content[len(content) // 2] ^= 1
        source.write_bytes(content)
        torch.load(source, weights_only=True)
        with pytest.raises(ValueError, match=r'in\.pth is cut short, corrupt .* checksum'):
            read_checkpoint(source)

    def test_web_page(self, source: Path) -> None:
        source.write_text('<!DOCTYPE html><html>Sign in to download</html>')
        with pytest.raises(ValueError, match=r'in\.pth is a web page'):
            read_checkpoint(source)

    @pytest.mark.parametrize('legacy', [False, True])
    @pytest.mark.parametrize(('kind', 'name'), [(Evil, 'mkdir'), (Config, 'Config')])
    def test_unknown_pickle_is_refused(
        self,
        source: Path,
        monkeypatch: pytest.MonkeyPatch,
        official_hrnet: State,
        kind: type,
        name: str,
        legacy: bool,
    ) -> None:
        monkeypatch.chdir(source.parent)
        checkpoint = dict(model=official_hrnet, config=kind())
        torch.save(checkpoint, source, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(ValueError, match=rf'holds \S*{name}, which the safe loader refuses'):
            convert_file(source, source.with_name('out.pth'))
        assert [p.name for p in source.parent.iterdir()] == ['in.pth']

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r'nothing\.pth'):
            convert_file(tmp_path / 'nothing.pth', tmp_path / 'out.pth')

    def test_target_exists(self, source: Path) -> None:
        target = source.with_name('out.pth')
        target.write_text('mine')
        for name in (target, source):
            with pytest.raises(ValueError, match=f'{name.name} exists already; --overwrite'):
                convert_file(source, name)
        assert target.read_text() == 'mine'
        convert_file(source, target, overwrite=True)
        assert convert_checkpoint(read_checkpoint(target)).layout == 'MMPose 1.x model'

    def test_in_place(self, source: Path) -> None:
        convert_file(source, source, overwrite=True)
        assert convert_checkpoint(read_checkpoint(source)).layout == 'MMPose 1.x model'

    def test_bad_targets(self, source: Path) -> None:
        with pytest.raises(IsADirectoryError, match='is a folder'):
            convert_file(source, source.parent, overwrite=True)
        with pytest.raises(FileNotFoundError, match='nowhere does not exist'):
            convert_file(source, source.parent / 'nowhere' / 'out.pth')

    def test_a_failed_write_leaves_what_was_there(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(obj: object, file: Any) -> None:
            file.write(b'half')
            raise OSError(28, 'No space left on device')

        target = source.with_name('out.pth')
        target.write_text('mine')
        monkeypatch.setattr(torch, 'save', full)
        with pytest.raises(OSError, match='No space left'):
            convert_file(source, target, overwrite=True)
        assert target.read_text() == 'mine'
        assert sorted(p.name for p in source.parent.iterdir()) == ['in.pth', 'out.pth']

    def test_the_file_is_named(self, source: Path) -> None:
        torch.save(dict(a=torch.zeros(1)), source)
        with pytest.raises(ValueError, match=r'in\.pth: not a known checkpoint'):
            convert_file(source, source.with_name('out.pth'))

    @pytest.mark.parametrize(('num_keypoints', 'stays'), [(None, True), (17, True), (5, False)])
    def test_dataset_meta_stays_with_its_keypoints(
        self, source: Path, hrnet: State, num_keypoints: int | None, stays: bool
    ) -> None:
        dataset_meta = dict(
            dataset_name='mine',
            num_keypoints=K,
            sigmas=np.full(K, 0.05, np.float32),
            keypoint_id2name={0: 'nose'},
            flip_pairs=[('left', 'right')],
            best=np.float64(0.5),
        )
        torch.save(dict(state_dict=hrnet, meta=dict(dataset_meta=dataset_meta, epoch=3)), source)
        convert_file(source, source, num_keypoints=num_keypoints, overwrite=True)
        meta = torch.load(source, weights_only=True)['meta']
        if not stays:
            assert 'dataset_meta' not in meta
            return
        assert meta['dataset_meta'] == dict(
            dataset_name='mine',
            num_keypoints=K,
            sigmas=pytest.approx([0.05] * K),
            keypoint_id2name={0: 'nose'},
            flip_pairs=[['left', 'right']],
            best=0.5,
        )
        assert torch.serialization.get_unsafe_globals_in_checkpoint(str(source)) == []
