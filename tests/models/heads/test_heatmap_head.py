from collections.abc import Callable

import numpy as np
import pytest
import torch
from mmengine.runner import load_state_dict
from mmengine.structures import InstanceData, PixelData
from mmpose.models.heads import HeatmapHead as StockHeatmapHead
from mmpose.structures import PoseDataSample
from torch import nn

from hrnet_plugin.models import HeatmapHead

K = 17
DECODER = dict(type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=2)
MAPS = dict(output_heatmaps=True)
# Layers behind a stream
LAYERS = {
    'final only': dict(deconv_out_channels=None),
    'final 3x3': dict(deconv_out_channels=None, final_layer=dict(kernel_size=3, padding=1)),
    'no final': dict(deconv_out_channels=(K,), deconv_kernel_sizes=(4,), final_layer=None),
    'deconvs': dict(deconv_out_channels=(8, 9, 10), deconv_kernel_sizes=(4, 3, 2)),
    'convs': dict(deconv_out_channels=None, conv_out_channels=(8, 9), conv_kernel_sizes=(3, 1)),
}


def samples(n: int) -> list[PoseDataSample]:
    """Samples with targets, as the pipeline packs them."""
    generator = torch.manual_seed(0)
    out = []
    for _ in range(n):
        sample = PoseDataSample(metainfo=dict(flip_indices=[0, *range(K - 1, 0, -1)]))
        sample.gt_fields = PixelData(heatmaps=torch.rand(K, 16, 16, generator=generator))
        weights = (torch.rand(1, K, generator=generator) > 0.3).float()
        sample.gt_instance_labels = InstanceData(keypoint_weights=weights)
        out.append(sample)
    return out


def streams(n: int = 2) -> list[torch.Tensor]:
    generator = torch.manual_seed(1)
    return [torch.randn(n, 6 * 2**i, 16 // 2**i, 16 // 2**i, generator=generator) for i in (0, 1)]


@pytest.fixture(params=LAYERS)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    options = dict(in_channels=6, out_channels=K, **LAYERS[request.param])
    stock, ours = StockHeatmapHead(**options), HeatmapHead(**options)
    ours.load_state_dict(stock.state_dict(), strict=True)
    return ours.eval(), stock.eval()


def test_loads_stock_weights_and_computes_the_same(pair: tuple[nn.Module, nn.Module]) -> None:
    ours, stock = pair
    high, low = streams()
    # Stock reads the last stream, ours the one with the highest resolution.
    assert torch.equal(ours([high, low]), stock([low, high]))


@pytest.mark.parametrize('shift_heatmap', [False, True])
@pytest.mark.parametrize('flip_test', [False, True])
def test_predicts_what_stock_predicts(flip_test: bool, shift_heatmap: bool) -> None:
    torch.manual_seed(0)
    options = dict(in_channels=6, out_channels=K, deconv_out_channels=None, decoder=DECODER)
    stock, ours = StockHeatmapHead(**options), HeatmapHead(**options)
    ours.load_state_dict(stock.state_dict())
    cfg = dict(flip_test=flip_test, shift_heatmap=shift_heatmap)
    feats = streams()[:1]
    feats = [feats, [feats[0].flip(-1) + 1]] if flip_test else feats
    instances = ours.predict(feats, samples(2), cfg)
    with_maps = [head.predict(feats, samples(2), cfg | MAPS) for head in (ours, stock)]
    (again, our_maps), (theirs, their_maps) = with_maps
    assert len(instances) == len(again) == len(theirs) == len(our_maps) == 2
    for a, b, c in zip(instances, again, theirs):
        assert (a.keypoints == c.keypoints).all()
        assert (b.keypoints == c.keypoints).all()
        assert (a.keypoint_scores == c.keypoint_scores).all()
    for a, b in zip(our_maps, their_maps):
        assert torch.equal(a.heatmaps, b.heatmaps)


@pytest.mark.parametrize('flip_test', [False, True])
def test_decodes_in_float32(flip_test: bool) -> None:
    """Also in mixed precision, which MMEngine's `test_cfg=dict(fp16=True)` is on a CPU."""
    head = HeatmapHead(in_channels=6, out_channels=K, decoder=DECODER).eval()
    feats = [streams(), streams()] if flip_test else streams()
    cfg = dict(flip_test=flip_test, output_heatmaps=True)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert head(streams()).dtype == torch.bfloat16
        instances, fields = head.predict(feats, samples(2), cfg)
    assert {field.heatmaps.dtype for field in fields} == {torch.float32}
    assert all(np.isfinite(instance.keypoints).all() for instance in instances)


def test_loss_and_accuracy_are_stocks() -> None:
    data = samples(8)
    # Predictions near the target, so that the accuracy is neither 0 nor 1
    target = torch.stack([d.gt_fields.heatmaps for d in data])
    noise = 0.005 * torch.randn(target.shape, generator=torch.manual_seed(3))
    heads = [cls(6, K, deconv_out_channels=None) for cls in (HeatmapHead, StockHeatmapHead)]
    for head in heads:
        head.forward = lambda feats: target + noise
    mine, theirs = (head.loss([], data, dict(compute_acc=True)) for head in heads)
    assert set(mine) == set(theirs) == {'loss_kpt', 'acc_pose'}
    assert torch.equal(mine['loss_kpt'], theirs['loss_kpt'])
    assert 0.05 < mine['acc_pose'].item() < 0.95
    assert mine['acc_pose'].item() == pytest.approx(theirs['acc_pose'].item())


def test_accuracy_is_only_computed_when_asked_for() -> None:
    head = HeatmapHead(6, K)
    assert set(head.loss(streams(), samples(2))) == {'loss_kpt'}


@pytest.mark.parametrize('compute_acc', [False, True])
def test_loss_never_waits_for_the_device(compute_acc: bool) -> None:
    """Nothing is read back: on the meta device there is nothing to read."""
    with torch.device('meta'):
        head = HeatmapHead(6, K)
    data = [sample.to('meta') for sample in samples(2)]
    losses = head.loss([s.to('meta') for s in streams()], data, dict(compute_acc=compute_acc))
    assert all(loss.device.type == 'meta' for loss in losses.values())


def test_stream_chooses_what_is_read() -> None:
    head = HeatmapHead(12, K, stream=1).eval()
    high, low = streams()
    assert head([high, low]).shape == (2, K, 8, 8)
    assert torch.equal(head([high, low]), head([torch.zeros_like(high), low]))


def test_former_select_warns() -> None:
    with pytest.warns(DeprecationWarning, match='use check_channels'):
        assert HeatmapHead(6, K).select(streams()) is not None
    with pytest.warns(match='use check_'), pytest.raises(ValueError, match='in_channels=7'):
        HeatmapHead(7, K).select(streams())


def test_other_errors_stay_what_they_are() -> None:
    """Only a stream with the wrong channels, or none, is explained."""
    high, low = streams()
    with pytest.raises(RuntimeError, match='type'):
        HeatmapHead(6, K)([high.double(), low])


def test_compiles_without_a_graph_break() -> None:
    head = HeatmapHead(6, K).eval()
    compiled = torch.compile(head, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(streams()), head(streams()))


def test_init_cfg() -> None:
    torch.manual_seed(0)
    head = HeatmapHead(60, 200)
    head.init_weights()
    assert head.final_layer.weight.std().item() == pytest.approx(0.001, rel=0.05)
    layers = dict(deconv_out_channels=(50,), deconv_kernel_sizes=(4,))
    head = HeatmapHead(60, 200, **layers)
    head.deconv_layers[1].weight.data.fill_(5)
    head.init_weights()
    assert head.deconv_layers[0].weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert head.deconv_layers[1].weight.eq(1).all()
    head = HeatmapHead(60, 200, init_cfg=dict(type='Constant', layer='Conv2d', val=3))
    head.init_weights()
    assert head.final_layer.weight.eq(3).all()


def test_loss_is_configurable() -> None:
    head = HeatmapHead(6, K, loss=dict(type='KeypointMSELoss', loss_weight=2.0))
    twice = head.loss(streams(), samples(2))['loss_kpt']
    head.loss_module.loss_weight = 1.0
    torch.testing.assert_close(twice, 2 * head.loss(streams(), samples(2))['loss_kpt'])


class TestCheckpointOfOtherKeypoints:
    """A head for 5 keypoints, and a checkpoint of a head for 3."""

    @pytest.fixture(params=['torch', 'mmengine'])
    def load(self, request: pytest.FixtureRequest) -> Callable[[nn.Module, dict], object]:
        if request.param == 'torch':
            return lambda model, state: model.load_state_dict(state, strict=True)
        return lambda model, state: load_state_dict(model, state, strict=False)

    def test_is_an_error(self, load: Callable) -> None:
        state = nn.ModuleDict({'head': HeatmapHead(6, 3)}).state_dict()
        model = nn.ModuleDict({'head': HeatmapHead(6, 5)})
        with pytest.raises(ValueError, match=r'has 3 keypoints.*out_channels=5.*out_channels=3'):
            load(model, state)

    def test_starts_anew_when_asked(self, load: Callable) -> None:
        layers = dict(conv_out_channels=(8,), conv_kernel_sizes=(3,))
        state = nn.ModuleDict({'head': HeatmapHead(6, 3, **layers)}).state_dict()
        model = nn.ModuleDict({'head': HeatmapHead(6, 5, **layers, reset_final_layer=True)})
        final = model['head'].final_layer.weight.clone()
        load(model, state)
        assert torch.equal(model['head'].final_layer.weight, final)
        name = 'head.conv_layers.0.weight'
        assert torch.equal(model.state_dict()[name], state[name])

    def test_is_read_where_the_keypoints_are_the_same(self, load: Callable) -> None:
        state = nn.ModuleDict({'head': HeatmapHead(6, 5)}).state_dict()
        model = nn.ModuleDict({'head': HeatmapHead(6, 5, reset_final_layer=True)})
        load(model, state)
        name = 'head.final_layer.weight'
        assert torch.equal(model.state_dict()[name], state[name])


class TestErrors:
    def test_wrong_channels(self) -> None:
        with pytest.raises(ValueError, match=r'in_channels=7, but stream 0 .* has 6 channels'):
            HeatmapHead(7, K)(streams())

    def test_missing_stream(self) -> None:
        with pytest.raises(ValueError, match=r'head.stream=2, but the backbone puts out 2'):
            HeatmapHead(6, K, stream=2)(streams())

    def test_kernel_size(self) -> None:
        with pytest.raises(ValueError, match='deconv kernel size 5; expected 2, 3 or 4'):
            HeatmapHead(6, K, deconv_out_channels=(8,), deconv_kernel_sizes=(5,))

    def test_even_kernel_size(self) -> None:
        with pytest.raises(ValueError, match='conv kernel size 2; expected an odd one'):
            HeatmapHead(6, K, conv_out_channels=(8,), conv_kernel_sizes=(2,))

    def test_no_final_layer(self) -> None:
        with pytest.raises(ValueError, match='leaves 6 channels; expected out_channels=17'):
            HeatmapHead(6, K, final_layer=None)

    def test_lengths(self) -> None:
        with pytest.raises(ValueError, match=r'conv_out_channels=\(8,\) .* differ in length'):
            HeatmapHead(6, K, conv_out_channels=(8,))

    def test_keypoints_of_head_and_target(self) -> None:
        with pytest.raises(ValueError, match=r'\(2, 5, 16, 16\).*\(2, 17, 16, 16\)'):
            HeatmapHead(6, 5).loss(streams(), samples(2))

    def test_misspelled_option(self) -> None:
        with pytest.raises(TypeError, match="'out_channel'; did you mean 'out_channels'"):
            HeatmapHead(in_channels=6, out_channel=K)
