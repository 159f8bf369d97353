"""Upsampling of the exchange and windows, which differ between tasks and published weights."""

import math
from typing import Any

import pytest
import torch
from mmengine.registry import DefaultScope
from support.model_checks import (
    Pair,
    assert_close,
    assert_same_outputs,
    assert_same_training,
    build,
    image,
    make_pair,
    randomised,
    shapes,
    small_extra,
)
from support.optional import is_installed, needs
from torch import Tensor, nn
from torch.nn import functional as F

from hrnet_plugin.models import HRFormer, HRNet
from hrnet_plugin.models.layers import Exchange

if is_installed('mmseg'):
    from mmseg.models.backbones import hrnet as mmseg_hrnet
    from mmseg.models.decode_heads import FCNHead
    from mmseg.models.utils import resize

BILINEAR = dict(mode='bilinear', align_corners=False)
ALIGNED = dict(mode='bilinear', align_corners=True)
NEAREST = dict(mode='nearest')
TWICE = dict(mode='nearest', align_corners=True)
CHANNELS = (8, 16, 32, 64)  # of the small HRNet
ODD = (90, 122)  # streams of 23x31, 12x16, 6x8, 3x4
FAMILY = dict(HRNet='hrnet', HRFormer='hrformer')


def small(family: str, **options: Any) -> nn.Module:
    return build(family, small_extra(FAMILY[family]), multiscale_output=True, **options)


class Segmenter(nn.Module):
    """A backbone with MMSegmentation's head; it returns the streams and the logits."""

    def __init__(self, backbone: nn.Module, align_corners: bool) -> None:
        super().__init__()
        self.backbone = backbone
        with DefaultScope.overwrite_default_scope('mmseg'):  # of its loss
            self.head = FCNHead(
                in_channels=CHANNELS,
                in_index=(0, 1, 2, 3),
                input_transform='resize_concat',
                channels=sum(CHANNELS),
                kernel_size=1,
                num_convs=1,
                concat_input=False,
                dropout_ratio=0,
                num_classes=5,
                norm_cfg=dict(type='BN'),
                align_corners=align_corners,
            )
        nn.init.normal_(self.head.conv_seg.weight)

    def forward(self, x: Tensor) -> list[Tensor]:
        streams = self.backbone(x)
        return [*streams, self.head(streams)]


def segmenters(upsample: dict[str, Any]) -> Pair:
    """Ours and MMSegmentation's HRNetV2 with the same weights, in float64."""
    align_corners = upsample.get('align_corners', False)
    extra = small_extra('hrnet')
    stock = mmseg_hrnet.HRNet({name: dict(stage) for name, stage in extra.items()})
    theirs = randomised(Segmenter(stock, align_corners).double())
    ours = Segmenter(small('HRNet', upsample=upsample), align_corners).double()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


class NoUpsample(nn.Identity):
    """In the place of MMSegmentation's ``Upsample``, which resizes by powers of 2.

    MMSegmentation then resizes once more, to the size of the target; the official code does only
    that. The two differ where 32 does not divide the image.
    """


@needs('mmseg')
class TestSegmentation:
    def test_bilinear_is_mmsegmentations(self) -> None:
        pair = segmenters(BILINEAR)
        assert_same_outputs(pair, image((64, 96)))
        assert_same_training(pair, image((64, 96), batch=2))

    @pytest.mark.parametrize('size', [ODD, (51, 33)], ids=str)
    def test_any_size_is_official(
        self, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mmseg_hrnet, 'Upsample', NoUpsample)
        pair = segmenters(BILINEAR)
        assert_same_outputs(pair, image(size))
        assert_same_training(pair, image(size, batch=2))

    def test_aligned_is_official(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Branch HRNet-OCR, which MMSegmentation cannot reproduce."""

        def aligned(*args: Any, **options: Any) -> Tensor:
            return resize(*args, **options | dict(align_corners=True))

        monkeypatch.setattr(mmseg_hrnet, 'Upsample', NoUpsample)
        monkeypatch.setattr(mmseg_hrnet, 'resize', aligned)
        for size in ((64, 96), ODD):
            assert_same_outputs(segmenters(ALIGNED), image(size))

    @pytest.mark.parametrize('upsample', [NEAREST, ALIGNED], ids=lambda u: u['mode'])
    def test_another_upsampling_gives_other_outputs(self, upsample: dict[str, Any]) -> None:
        """So published segmentation weights need their own: nearest is 0.54 std off."""
        ours, stock = segmenters(upsample)
        x = image((64, 96))
        with torch.no_grad():
            logits, expected = ours.eval()(x)[-1], stock.eval()(x)[-1]
        spread = expected.std((2, 3), keepdim=True)
        assert ((logits - expected).abs() / spread).max() > 0.3


class TestNearest:
    def reference(self, model: nn.Module) -> None:
        """Let each exchange resize to at least the target's size, then bilinearly to that."""

        def resize_twice(x: Tensor, like: Tensor) -> Tensor:
            size = like.shape[-2:]
            steps = max(math.ceil(math.log2(a / b)) for a, b in zip(size, x.shape[-2:]))
            x = x.repeat_interleave(2**steps, -1).repeat_interleave(2**steps, -2)
            return F.interpolate(x, size=size, mode='bilinear', align_corners=True)

        exchanges = [module for module in model.modules() if isinstance(module, Exchange)]
        assert len(exchanges) == 4
        for exchange in exchanges:
            exchange.resize = resize_twice  # type: ignore[method-assign]

    def streams(self, upsample: dict[str, Any], size: tuple[int, int]) -> tuple[Tensor, ...]:
        model = randomised(small('HRFormer', upsample=upsample).double())
        if upsample is TWICE:
            expected = randomised(small('HRFormer', upsample=NEAREST).double())
            self.reference(expected)
            assert shapes(model) == shapes(expected)
            with torch.no_grad():
                for a, b in zip(model.eval()(image(size)), expected.eval()(image(size))):
                    assert_close(a, b)
        with torch.no_grad():
            return model.eval()(image(size))

    def test_twice_is_once_where_sizes_divide(self) -> None:
        once, twice = (self.streams(upsample, (64, 96)) for upsample in (NEAREST, TWICE))
        for a, b in zip(once, twice, strict=True):
            assert torch.equal(a, b)

    def test_twice_is_bilinear_for_what_is_left(self) -> None:
        """HRFormer's official segmentation code, at sizes such as 520x520."""
        once, twice = (self.streams(upsample, ODD) for upsample in (NEAREST, TWICE))
        assert (once[0] - twice[0]).abs().max() > 0.1 * once[0].std()

    @pytest.mark.parametrize('family', ['HRNet', 'HRFormer'])
    def test_nearest_is_stocks(self, family: str) -> None:
        """The option against MMPose's, which scales by whole powers of 2."""
        plain = dict(mode='nearest', align_corners=None)
        ours, stock = make_pair(family, small_extra(FAMILY[family], upsample=plain))
        mine = small(family, upsample=NEAREST).double()
        mine.load_state_dict(ours.state_dict())
        assert_same_outputs((mine, stock), image((64, 96)))


@pytest.mark.parametrize('family', FAMILY)
class TestUpsample:
    @pytest.mark.parametrize('upsample', [NEAREST, TWICE, BILINEAR, ALIGNED], ids=str)
    @pytest.mark.parametrize('size', [ODD, (35, 61)], ids=str)
    def test_any_size(self, family: str, upsample: dict[str, Any], size: tuple[int, int]) -> None:
        model = small(family, upsample=upsample).train()
        streams = model(torch.rand(2, 3, *size))
        assert [x.shape[-2:] for x in streams] == [
            tuple(-(-side // stride) for side in size) for stride in model.out_strides
        ]
        assert all(x.isfinite().all() for x in streams)

    def test_defaults_are_those_of_pose(self, family: str) -> None:
        expected = dict(HRNet=NEAREST, HRFormer=BILINEAR)[family]
        assert small(family).upsample == expected

    def test_it_replaces_that_of_extra(self, family: str) -> None:
        extra = small_extra(FAMILY[family], upsample=ALIGNED)
        assert build(family, extra).upsample == ALIGNED
        model = build(family, extra, upsample=BILINEAR)
        assert model.upsample == BILINEAR
        exchanges = [m for m in model.modules() if isinstance(m, Exchange)]
        assert all(exchange.upsample == BILINEAR for exchange in exchanges)
        assert extra['upsample'] == ALIGNED

    @pytest.mark.parametrize(
        ('upsample', 'match'),
        [
            (dict(mode='bilinaer'), "upsample mode 'bilinaer'; did you mean 'bilinear'"),
            (dict(align_corners=True), "upsample lacks 'mode'"),
            (dict(mode='bilinear', align=1), "upsample 'align'; did you mean 'align_corners'"),
            ('bilinear', r"psample='bilinear'; expected dict\(mode=…, align_corners=…\)"),
        ],
        ids=['mode', 'no mode', 'key', 'no dict'],
    )
    def test_errors(self, family: str, upsample: Any, match: str) -> None:
        with pytest.raises(ValueError, match=match):
            small(family, upsample=upsample)
        with pytest.raises(ValueError, match=match):
            build(family, small_extra(FAMILY[family], upsample=upsample))


class TestWithArch:
    def test_hrnet(self) -> None:
        with torch.device('meta'):
            model = HRNet(arch='w48', upsample=ALIGNED, multiscale_output=True)
            assert model.upsample == ALIGNED
            assert shapes(model) == shapes(HRNet(arch='w48', multiscale_output=True))

    @pytest.mark.parametrize('window', [7, 13, 15, (5, 3)])
    def test_hrformer(self, window: int | tuple[int, int]) -> None:
        height, width = window if isinstance(window, tuple) else (window, window)
        with torch.device('meta'):
            model = HRFormer(arch='tiny', upsample=TWICE, window=window, multiscale_output=True)
            streams = model(torch.rand(1, 3, *ODD))
        assert model.upsample == TWICE
        assert streams[0].shape == (1, 18, 23, 31)
        tables = {n: s for n, s in shapes(model).items() if n.endswith('bias_table')}
        assert len(tables) == 38
        rows = (2 * height - 1) * (2 * width - 1)
        assert {shape[0] for shape in tables.values()} == {rows}

    def test_window_is_that_of_extra(self) -> None:
        extra = small_extra('hrformer')
        by_option = build('HRFormer', extra, window=3).eval()
        for streams in (2, 3, 4):
            extra[f'stage{streams}'] |= dict(window_sizes=(3,) * streams)
        by_extra = build('HRFormer', extra).eval()
        x = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            assert torch.equal(by_option(x)[0], by_extra(x)[0])

    @pytest.mark.parametrize('window', [0, (7, 7, 7), 7.5])
    def test_window_that_is_none(self, window: Any) -> None:
        with pytest.raises(ValueError, match=r'^window=.*; expected a whole number above 0'):
            HRFormer(arch='tiny', window=window)
