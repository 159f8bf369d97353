"""Exported detectors in the inferencer: the boxes of PyTorch, without MMDetection."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from support.random_models import POSE

from hrnet_plugin.apis import PoseInferencer, export_detector_file
from hrnet_plugin.apis.inference.detector import Detector
from hrnet_plugin.apis.inference.exported_detector import ExportedDetector
from hrnet_plugin.apis.inputs.images import Frame
from hrnet_plugin.datasets import scene_of
from hrnet_plugin.export.runtime import KEY

pytest.importorskip('onnx')
# Two of one size, a portrait, a large and a small one
SIZES = [(320, 240), (320, 240), (240, 320), (640, 200), (40, 30)]
ANY = dict(bbox_thr=0.0, nms_thr=1.0)


@pytest.fixture(scope='module')
def frames() -> list[Frame]:
    frames = []
    for index, (width, height) in enumerate(SIZES):
        image = scene_of(3, 'val', index).image
        image = np.ascontiguousarray(np.resize(image, (height, width, 3)))
        frames.append(Frame(index, f'{index}.png', image))
    return frames


def boxes_of(detect: Any, frames: list[Frame], **thresholds: float) -> list[np.ndarray]:
    return list(detect(frames, **{**ANY, **thresholds}))


@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino', 'auto'])
def test_same_boxes(
    small_detector: tuple[str, str], exported_detector: Path, frames: list[Frame], runtime: str
) -> None:
    pytest.importorskip('openvino')
    by_torch = Detector(*small_detector, [0, 1, 2], 'cpu')
    detect = ExportedDetector(exported_detector, [0, 1, 2], 'cpu', runtime)
    for thresholds in (dict(), dict(bbox_thr=0.4), dict(nms_thr=0.2)):
        expected = boxes_of(by_torch, frames, **thresholds)
        found = boxes_of(detect, frames, **thresholds)
        assert len(found) == len(frames)
        for boxes, expected_boxes in zip(found, expected):
            assert len(boxes) == len(expected_boxes) > 0
            assert boxes.dtype == expected_boxes.dtype
            np.testing.assert_allclose(boxes, expected_boxes, atol=1e-3)
    everything = sum(map(len, boxes_of(by_torch, frames)))
    assert sum(map(len, expected)) < everything > 100


@pytest.mark.parametrize('cat_ids', [None, 0, [0, 1]])
def test_classes(
    small_detector: tuple[str, str], exported_detector: Path, frames: list[Frame], cat_ids: Any
) -> None:
    expected = boxes_of(Detector(*small_detector, cat_ids, 'cpu'), frames)
    found = boxes_of(ExportedDetector(exported_detector, cat_ids, 'cpu'), frames)
    assert [len(boxes) for boxes in found] == [len(boxes) for boxes in expected]
    assert ExportedDetector(exported_detector, None, 'cpu').cat_ids == [2]  # person


def test_inferencer_without_mmdet(
    weights: Path,
    exported_detector: Path,
    small_detector: tuple[str, str],
    images: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def detected(**detector: str) -> list[Any]:
        inferencer = PoseInferencer(
            POSE, str(weights / 'pose.pth'), 'cpu', **detector, det_cat_ids=[0, 1]
        )
        results = inferencer(images, bbox_thr=0.35, return_datasamples=True)
        return [result['predictions'][0].pred_instances for result in results]

    by_torch = detected(det_model=small_detector[0], det_weights=small_detector[1])
    for name in [name for name in sys.modules if name.split('.')[0] == 'mmdet']:
        monkeypatch.setitem(sys.modules, name, None)
    found = detected(det_model=str(exported_detector))
    assert len(found) == len(images)
    for instances, expected in zip(found, by_torch, strict=True):
        assert len(instances) > 0
        np.testing.assert_allclose(instances.bboxes, expected.bboxes, atol=0.1)
        np.testing.assert_allclose(instances.bbox_scores, expected.bbox_scores, atol=1e-4)


class TestErrors:
    @pytest.fixture
    @staticmethod
    def with_metadata(exported_detector: Path, tmp_path: Path) -> Any:
        """Write a copy of the file with other metadata."""
        onnx = pytest.importorskip('onnx')

        def write(metadata: dict[str, str]) -> Path:
            proto = onnx.load(exported_detector)
            del proto.metadata_props[:]
            onnx.helper.set_model_props(proto, metadata)
            onnx.save(proto, tmp_path / 'other.onnx')
            return tmp_path / 'other.onnx'

        return write

    def test_files(self, exported_detector: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r'detector\.onnx is a detector, which goes to det_m'):
            PoseInferencer(str(exported_detector), device='cpu')
        with pytest.raises(FileNotFoundError, match=r'none\.onnx: there is no such file'):
            ExportedDetector(tmp_path / 'none.onnx')
        (tmp_path / 'text.onnx').write_text('no model')
        with pytest.raises(ValueError, match=r'text\.onnx is not an ONNX model'):
            ExportedDetector(tmp_path / 'text.onnx')

    @pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
    def test_other_models(self, with_metadata: Any, runtime: str) -> None:
        pytest.importorskip('openvino')
        with pytest.raises(ValueError, match='not a detector of hrnet_plugin: it has no metadata'):
            ExportedDetector(with_metadata({}), runtime=runtime)
        pose_model = with_metadata({KEY: '{"input_size": [48, 64]}'})
        with pytest.raises(
            ValueError, match=r'is a pose model, which goes to pose2d \(--weights\)'
        ):
            ExportedDetector(pose_model, runtime=runtime)

    def test_options(self, weights: Path, exported_detector: Path) -> None:
        with pytest.raises(ValueError, match='is an exported detector, which has its weights'):
            PoseInferencer(
                POSE,
                str(weights / 'pose.pth'),
                'cpu',
                det_model=str(exported_detector),
                det_weights='detector.pth',
            )
        with pytest.raises(ValueError, match=r'det_cat_ids has 3; expected .*: 0 cat, 1 dog, 2 p'):
            ExportedDetector(exported_detector, 3, 'cpu')
        with pytest.raises(ValueError, match="unknown runtime 'openvin'; did you mean 'openvino'"):
            ExportedDetector(exported_detector, runtime='openvin')
        with pytest.raises(ValueError, match="device='cuda', but OpenVINO runs models on the CPU"):
            ExportedDetector(exported_detector, device='cuda', runtime='openvino')

    @pytest.mark.parametrize(
        ('steps', 'message'),
        [
            (
                [dict(type='RandomFlip', prob=0.5)],
                'has Resize, Pad, RandomFlip, PackDetInputs aft',
            ),
            ([dict(type='Resize', scale=(32, 32))], 'has Resize, Pad, Resize, PackDetInputs aft'),
        ],
    )
    def test_pipelines(
        self, small_detector: tuple[str, str], tmp_path: Path, steps: list[Any], message: str
    ) -> None:
        cfg = Config.fromfile(small_detector[0])
        cfg.test_dataloader.dataset.pipeline[3:3] = steps
        with pytest.raises(ValueError, match=message):
            export_detector_file(cfg, small_detector[1], tmp_path / 'detector.onnx')

    @pytest.mark.parametrize(
        ('number', 'step', 'message'),
        [
            (1, dict(scale=None, scale_factor=0.5), 'cannot be exported; expected a scale, and'),
            (1, dict(backend='pillow'), 'cannot be exported; expected a scale, and backend cv2'),
            (2, dict(padding_mode='reflect'), 'cannot be exported; expected a constant, and size'),
            (0, dict(to_float32=True), 'changes images in a way that cannot be exported'),
        ],
    )
    def test_steps(
        self,
        small_detector: tuple[str, str],
        tmp_path: Path,
        number: int,
        step: dict[str, Any],
        message: str,
    ) -> None:
        cfg = Config.fromfile(small_detector[0])
        cfg.test_dataloader.dataset.pipeline[number].update(step)
        with pytest.raises(ValueError, match=message):
            export_detector_file(cfg, small_detector[1], tmp_path / 'detector.onnx')

    def test_pose_config(self, weights: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match='is of a pose estimator; expected a detector'):
            export_detector_file(POSE, str(weights / 'pose.pth'), tmp_path / 'detector.onnx')
