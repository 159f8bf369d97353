"""Other runtimes in the place of torch: the same results from heatmaps, or from keypoints."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import KEYPOINT_CODECS
from support.random_models import POSE

from hrnet_plugin.apis import BackendOutput, PoseBackend, PoseInferencer

BOXES = [[[20, 30, 120, 220, 0.9], [100, 20, 200, 230, 0.8]], [[10, 10, 150, 230, 0.7]]]


def config(**test_cfg: Any) -> Config:
    cfg = Config.fromfile(POSE)
    cfg.model.test_cfg = test_cfg
    return cfg


def network(inferencer: PoseInferencer) -> Callable[[np.ndarray], np.ndarray]:
    """The network of an inferencer, without anything around it: inputs to heatmaps."""
    model = inferencer.pose.model

    @torch.inference_mode()
    def run(inputs: np.ndarray) -> np.ndarray:
        assert inputs.dtype == np.float32
        return model.head.forward(model.extract_feat(torch.from_numpy(inputs))).numpy()

    return run


def as_heatmaps(inferencer: PoseInferencer) -> PoseBackend:
    run = network(inferencer)
    return lambda inputs: BackendOutput(heatmaps=run(inputs))


def as_keypoints(inferencer: PoseInferencer) -> PoseBackend:
    """As an exported network does that has the decoding in it."""
    run, codec = network(inferencer), inferencer.pose.model.head.decoder

    def decoded(inputs: np.ndarray) -> BackendOutput:
        keypoints, scores = codec.batch_decode(torch.from_numpy(run(inputs)))
        return BackendOutput(keypoints=np.concatenate(keypoints), scores=np.concatenate(scores))

    return decoded


def samples(inferencer: PoseInferencer, images: list[np.ndarray], **options: Any) -> list[Any]:
    results = inferencer(images[:2], bboxes=BOXES, return_datasamples=True, **options)
    return [result['predictions'][0] for result in results]


def assert_same(ours: list[Any], expected: list[Any]) -> None:
    assert [len(s.pred_instances) for s in ours] == [2, 1]
    for sample, other in zip(ours, expected):
        a, b = sample.pred_instances, other.pred_instances
        assert sorted(a.keys()) == sorted(b.keys())
        for name, values in a.items():
            assert values.dtype == b[name].dtype, name
            np.testing.assert_allclose(values, b[name], atol=2e-3, err_msg=name)


@pytest.mark.parametrize(
    ('backend', 'test_cfg'),
    [
        (as_heatmaps, dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True)),
        (as_heatmaps, dict(flip_test=False)),
        (as_keypoints, dict(flip_test=False)),
        (as_keypoints, dict(flip_test=False, output_keypoint_indices=[0, 5, 6])),
    ],
)
def test_results_are_those_of_torch(
    weights: Any, images: list[np.ndarray], backend: Any, test_cfg: dict[str, Any]
) -> None:
    cfg = config(**test_cfg)
    expected = PoseInferencer(cfg, str(weights / 'pose.pth'), device='cpu')
    ours = PoseInferencer(cfg, backend=backend(expected), device='cpu')
    assert ours.pose.model is None
    assert_same(samples(ours, images), samples(expected, images))


def test_heatmaps_are_drawn(boxes_only: PoseInferencer, images: list[np.ndarray]) -> None:
    ours = PoseInferencer(POSE, backend=as_heatmaps(boxes_only), device='cpu')
    for sample, other in zip(
        samples(ours, images, draw_heatmap=True), samples(boxes_only, images, draw_heatmap=True)
    ):
        assert sample.pred_fields.heatmaps.shape == (17, 240, 320)
        np.testing.assert_allclose(
            sample.pred_fields.heatmaps, other.pred_fields.heatmaps, atol=1e-3
        )


def test_codecs_that_decode_one_by_one(boxes_only: PoseInferencer) -> None:
    cfg = config(flip_test=False)
    sizes = dict(input_size=(96, 128), heatmap_size=(48, 64), sigma=2)
    cfg.model.head.decoder = dict(type='MSRAHeatmap', **sizes)
    codec = KEYPOINT_CODECS.build({'_scope_': 'mmpose', **cfg.model.head.decoder})
    assert not codec.support_batch_decoding
    predictor = PoseInferencer(cfg, backend=as_heatmaps(boxes_only), device='cpu').pose.predictor
    heatmaps = torch.rand(2, 17, 64, 48, generator=torch.Generator().manual_seed(0))
    keypoints, scores = predictor._decode(heatmaps)
    for i in range(2):
        expected = codec.decode(heatmaps[i].numpy())
        np.testing.assert_array_equal(keypoints[i : i + 1], expected[0])
        np.testing.assert_array_equal(scores[i : i + 1], expected[1])


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(), 'either heatmaps, or keypoints and scores'),
        (dict(heatmaps=np.ones((1, 17, 8, 8)), keypoints=np.ones((1, 17, 2))), 'either'),
        (dict(heatmaps=np.ones((17, 8, 8))), r'shape \(17, 8, 8\); expected \(N, K, H, W\)'),
        (dict(keypoints=np.ones((1, 17, 2))), r'scores \(\); expected \(N, K, 2\) and \(N, K\)'),
        (dict(keypoints=np.ones((1, 17, 3)), scores=np.ones((1, 17))), r'shape \(1, 17, 3\)'),
    ],
)
def test_outputs_of_another_shape(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BackendOutput(**given)


def test_heatmaps_that_are_missing(boxes_only: PoseInferencer, images: list[np.ndarray]) -> None:
    ours = PoseInferencer(POSE, backend=as_keypoints(boxes_only), device='cpu')
    with pytest.raises(ValueError, match='draw_heatmap=True, but the backend returns keypoints'):
        samples(ours, images, draw_heatmap=True)
    cfg = config()
    del cfg.model.head.decoder
    ours = PoseInferencer(cfg, backend=as_heatmaps(boxes_only), device='cpu')
    with pytest.raises(ValueError, match=r'model\.head of pose2d has no decoder'):
        samples(ours, images)


def test_concurrent_calls_keep_their_options(
    boxes_only: PoseInferencer, images: list[np.ndarray]
) -> None:
    test_cfg = dict(boxes_only.pose.cfg.model.test_cfg)
    options = dict(bboxes=BOXES, return_datasamples=True, batch_size=1)
    plain = boxes_only(images[:2], **options)
    with_heatmaps = boxes_only(images[:2], draw_heatmap=True, **options)
    for a, b in zip(plain, with_heatmaps):
        assert 'pred_fields' not in a['predictions'][0]
        assert 'pred_fields' in b['predictions'][0]
    assert boxes_only.pose.cfg.model.test_cfg == test_cfg
    assert dict(boxes_only.pose.model.test_cfg) == test_cfg
