"""Targets that the head encodes itself, against those of stock's pipeline."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from mmpose.structures import PoseDataSample
from mmpose.utils import register_all_modules
from support.gpu import needs_gpu, waiting_for_the_gpu_fails

from hrnet_plugin.models import HeatmapHead

K = 17
SIZES = dict(input_size=(192, 256), heatmap_size=(48, 64), sigma=2)
OURS = dict(type='hrnet_plugin.GaussianHeatmap', targets='keypoints', **SIZES)
STOCK = dict(
    msra=dict(type='MSRAHeatmap', **SIZES),
    dark=dict(type='MSRAHeatmap', unbiased=True, **SIZES),
    udp=dict(type='UDPHeatmap', **SIZES),
)


@pytest.fixture(autouse=True, scope='module')
def _default_scope() -> None:
    register_all_modules()


def packed(codec: dict[str, Any], n: int = 6, **options: Any) -> list[PoseDataSample]:
    """Samples as the end of a pipeline packs them."""
    rng = np.random.default_rng(0)
    generate = GenerateTarget(encoder=codec, **options)
    out = []
    for _ in range(n):
        results = dict(
            img=np.zeros((256, 192, 3), np.uint8),
            # Some are outside, and some of those leave a trace.
            transformed_keypoints=rng.uniform(-40, [232, 296], (1, K, 2)).astype(np.float32),
            keypoints_visible=rng.choice(np.float32([0, 0.3, 1, 1, 1, 2]), (1, K)),
            dataset_keypoint_weights=rng.choice(np.float32([0, 0.5, 1, 1.5]), K),
        )
        out.append(PackPoseInputs()(generate(results))['data_samples'])
    return out


def streams(n: int = 6) -> list[torch.Tensor]:
    return [torch.randn(n, 6, 64, 48, generator=torch.manual_seed(1))]


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('variant', STOCK)
def test_loss_equals_that_of_stocks_pipeline(variant: str, weighted: bool) -> None:
    """Also its gradient and the accuracy, and with the dataset's weights of keypoints."""
    head = HeatmapHead(6, K, decoder=OURS | dict(variant=variant))
    options = dict(use_dataset_keypoint_weights=weighted)
    losses, gradients, targets = [], [], []
    for codec in (OURS | dict(variant=variant), STOCK[variant]):
        samples = packed(codec, **options)
        targets.append(head.targets(samples))
        losses.append(head.loss(streams(), samples, dict(compute_acc=True)))
        head.zero_grad()
        losses[-1]['loss_kpt'].backward()
        gradients.append(head.final_layer.weight.grad.clone())
    ours, stock = losses
    assert stock['loss_kpt'] > 1e-3
    assert abs(ours['loss_kpt'] - stock['loss_kpt']) <= 1e-6
    assert ours['acc_pose'] == stock['acc_pose']
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-6)
    torch.testing.assert_close(targets[0][0], targets[1][0], rtol=0, atol=1e-6)
    assert torch.equal(targets[0][1], targets[1][1])
    assert targets[0][1].unique().numel() > 3


def test_pipeline_packs_no_heatmaps() -> None:
    ours, stock = packed(OURS)[0], packed(STOCK['msra'])[0]
    assert 'gt_fields' in stock
    assert 'gt_fields' not in ours
    assert ours.gt_instance_labels.keypoint_labels.shape == (1, K, 3)
    # What a worker hands over: 272 bytes of labels instead of 208,964
    assert len(pickle.dumps(stock)) - len(pickle.dumps(ours)) > 200_000


def test_never_waits_for_the_device() -> None:
    """Nothing is read back: on the meta device there is nothing to read."""
    with torch.device('meta'):
        head = HeatmapHead(6, K, decoder=OURS)
    data = [sample.to('meta') for sample in packed(OURS)]
    losses = head.loss([s.to('meta') for s in streams()], data, dict(compute_acc=True))
    assert all(loss.device.type == 'meta' for loss in losses.values())


@needs_gpu
@pytest.mark.parametrize('variant', STOCK)
def test_same_on_the_device(variant: str) -> None:
    head = HeatmapHead(6, K, decoder=OURS | dict(variant=variant))
    samples = packed(OURS | dict(variant=variant))
    expected, weights = head.targets(samples)
    on_device = [sample.to('cuda') for sample in samples]
    head.targets(on_device)  # brings constants to the device
    with waiting_for_the_gpu_fails():
        heatmaps, weights_there = head.targets(on_device)
    torch.testing.assert_close(heatmaps.cpu(), expected, rtol=0, atol=1e-6)
    assert torch.equal(weights_there.cpu(), weights)


class TestErrors:
    def test_nothing_to_compare_with(self) -> None:
        samples = packed(OURS)
        for sample in samples:
            del sample.gt_instance_labels.keypoint_labels
        with pytest.raises(ValueError, match='neither heatmaps nor keypoint_labels'):
            HeatmapHead(6, K, decoder=OURS).loss(streams(), samples)

    @pytest.mark.parametrize('decoder', [None, STOCK['msra']])
    def test_nothing_to_encode_with(self, decoder: dict[str, Any] | None) -> None:
        with pytest.raises(ValueError, match=r'head.decoder has to encode .* it is'):
            HeatmapHead(6, K, decoder=decoder).loss(streams(), packed(OURS))

    def test_other_number_of_keypoints(self) -> None:
        with pytest.raises(ValueError, match=r'\(6, 5, 64, 48\).*\(6, 17, 64, 48\)'):
            HeatmapHead(6, 5, decoder=OURS).loss(streams(), packed(OURS))

    def test_other_number_of_sigmas(self) -> None:
        with pytest.raises(
            ValueError, match='out_channels=17 does not fit its decoder: 17 keypoints, but 3'
        ):
            HeatmapHead(6, K, decoder=OURS | dict(sigma=[1, 2, 3]))
