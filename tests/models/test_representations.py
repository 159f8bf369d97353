"""Every published architecture in each representation: V1, V2, V2p and classification."""

from typing import Any

import pytest
import torch
from mmengine.registry import MODELS
from support.model_checks import SMALL, build, parameters, small_extra
from torch import Tensor, nn

from hrnet_plugin.models import HRFPN, ClassificationNeck, ConcatStreams
from hrnet_plugin.models.families import FAMILIES

ARCHS = [(family.name, arch) for family in FAMILIES.values() for arch in family.archs]
NUM_CLASSES = 1000
# Official counts: see each test.
CLASSIFIERS = {
    'w18-small-v1': 13_187_464,
    'w18-small-v2': 15_597_464,
    'w18': 21_299_004,
    'w32': 41_232_680,
    'w48': 77_469_864,
}
# Parameters (M): HRNet's and HRFormer's papers, tables of classification results
ROUNDED = {
    ('HRNet', 'w30'): 37.7,
    ('HRNet', 'w40'): 57.6,
    ('HRNet', 'w44'): 67.1,
    ('HRNet', 'w64'): 128.1,
    ('HRFormer', 'tiny'): 8.0,
    ('HRFormer', 'small'): 13.5,
    ('HRFormer', 'base'): 50.3,
}


def necks(backbone: Any) -> dict[str, nn.Module]:
    """A neck for each representation but V1, which has none."""
    channels = backbone.out_channels
    return {
        'V2': ConcatStreams(channels, mixing=True),
        'V2p': HRFPN(channels, 256),
        'classification': ClassificationNeck(
            channels, separable=type(backbone).__name__ == 'HRFormer'
        ),
    }


def assert_represents(backbone: nn.Module, size: tuple[int, int]) -> list[Tensor]:
    """Backbone and necks compute what their attributes announce; return all outputs."""
    height, width = size
    streams = backbone(torch.rand(1, 3, *size))
    outputs = [*streams]
    assert len(streams) == 4
    first, last = streams[0].shape[-2:], streams[-1].shape[-2:]
    assert first == (-(-height // 4), -(-width // 4))
    assert last == (-(-height // 32), -(-width // 32))
    for name, neck in necks(backbone).items():
        maps = neck.eval()(streams)
        levels = [tuple(side >> i for side in first) for i in range(5)]
        expected = {'V2': levels[:1], 'V2p': levels, 'classification': [tuple(last)]}[name]
        assert [tuple(x.shape) for x in maps] == [(1, neck.out_channels, *s) for s in expected]
        assert len(neck.out_strides) == len(maps)
        outputs += maps
    return outputs


@pytest.mark.parametrize('size', [(90, 122), (77, 101)], ids=str)
@pytest.mark.parametrize('structure', SMALL)
def test_small(structure: str, size: tuple[int, int]) -> None:
    backbone = build(SMALL[structure][0], small_extra(structure), multiscale_output=True).eval()
    with torch.no_grad():
        assert all(x.isfinite().all() for x in assert_represents(backbone, size))


@pytest.mark.slow
@pytest.mark.parametrize('case', ARCHS, ids='-'.join)
def test_published(case: tuple[str, str]) -> None:
    family, arch = case
    with torch.device('meta'):
        backbone = FAMILIES[family].build(arch, multiscale_output=True).eval()
        assert_represents(backbone, (90, 122))


class TestPublishedCounts:
    def backbone_and(self, representation: str, family: str, arch: str) -> int:
        with torch.device('meta'):
            backbone = FAMILIES[family].build(arch, multiscale_output=True)
            return parameters(backbone) + parameters(necks(backbone)[representation])

    def classifier(self, family: str, arch: str) -> int:
        weights_and_biases = (2048 + 1) * NUM_CLASSES
        return self.backbone_and('classification', family, arch) + weights_and_biases

    @pytest.mark.parametrize('arch', CLASSIFIERS)
    def test_classifiers_of_hrnet(self, arch: str) -> None:
        """Less the biases before norms: of three convolutions that halve, and the last one."""
        biases = 256 + 512 + 1024 + 2048
        assert self.classifier('HRNet', arch) + biases == CLASSIFIERS[arch]

    @pytest.mark.parametrize('case', ROUNDED, ids='-'.join)
    def test_rounded(self, case: tuple[str, str]) -> None:
        assert round(self.classifier(*case) / 1e6, 1) == ROUNDED[case]

    def test_detection(self) -> None:
        """The official backbone and neck of HRNetV2p-W18."""
        assert self.backbone_and('V2p', 'HRNet', 'w18') == 12_582_036

    def test_segmentation_backbone_of_hrformer(self) -> None:
        """The official HRFormer-S, of which segmentation reads all streams."""
        with torch.device('meta'):
            backbone = FAMILIES['HRFormer'].build('small', multiscale_output=True)
        assert parameters(backbone) == 7_891_050


class TestPose:
    """HRNetV2 under the heatmap head: all streams of a small HRNet."""

    CHANNELS = (16, 32, 64, 128)

    def estimator(self, in_channels: int = 240, **options: Any) -> Any:
        torch.manual_seed(0)
        codec = dict(
            type='hrnet_plugin.GaussianHeatmap',
            input_size=(48, 64),
            heatmap_size=(12, 16),
            sigma=2,
        )
        config = dict(
            type='hrnet_plugin.TopdownPoseEstimator',
            backbone=dict(type='hrnet_plugin.HRNet', arch='w18-small-v1', multiscale_output=True),
            neck=dict(type='hrnet_plugin.ConcatStreams', in_channels=self.CHANNELS, mixing=True),
            head=dict(
                type='hrnet_plugin.HeatmapHead',
                in_channels=in_channels,
                out_channels=17,
                decoder=codec,
            ),
            test_cfg=dict(flip_test=True),
        )
        return MODELS.build(config | options).eval()

    def test_it_runs(self) -> None:
        model, x = self.estimator(), torch.rand(2, 3, 64, 48)
        with torch.no_grad():
            heatmaps = model.head(model.extract_feat(x))
            (mixed,) = model.neck(model.backbone(x))
            expected = model.head.final_layer(mixed)
        assert heatmaps.shape == (2, 17, 16, 12)
        assert torch.equal(heatmaps, expected)

    @pytest.mark.parametrize('neck', ['ConcatStreams', 'HRFPN'])
    def test_channels_are_checked_when_built(self, neck: str) -> None:
        with pytest.raises(ValueError, match=r'head.in_channels=16, but stream 0 .* has 240 ch'):
            self.estimator(in_channels=16)
        options: dict[str, Any] = dict(type=f'hrnet_plugin.{neck}', in_channels=(16, 32))
        if neck == 'HRFPN':
            options['out_channels'] = 240
        with pytest.raises(ValueError, match=rf'{neck}.in_channels=\(16, 32\), but the backbone'):
            self.estimator(neck=options)

    def test_one_stream_is_too_few(self) -> None:
        backbone = dict(type='hrnet_plugin.HRNet', arch='w18-small-v1')
        with pytest.raises(
            ValueError, match=r'1 stream\(s\), of \(16,\) .*multiscale_output=True'
        ):
            self.estimator(backbone=backbone)

    def test_necks_of_others_are_left_alone(self) -> None:
        neck = dict(type='mmpose.FeatureMapProcessor', select_index=(1,))
        head = dict(type='hrnet_plugin.HeatmapHead', in_channels=32, out_channels=17, decoder=None)
        model = self.estimator(neck=neck, head=head, test_cfg=None)
        with torch.no_grad():
            assert model(torch.rand(1, 3, 64, 48), None).shape == (1, 17, 8, 6)

    def test_levels_of_a_pyramid(self) -> None:
        """A head may read any of them."""
        neck = dict(
            type='hrnet_plugin.HRFPN', in_channels=self.CHANNELS, out_channels=8, num_outs=2
        )
        head = dict(
            type='hrnet_plugin.HeatmapHead', in_channels=8, out_channels=17, stream=1, decoder=None
        )
        model = self.estimator(neck=neck, head=head, test_cfg=None)
        with torch.no_grad():
            assert model(torch.rand(1, 3, 64, 48), None).shape == (1, 17, 8, 6)
