"""Exported detectors detect what MMDetection does, and say what they are."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.hub import get_config
from support.detector_models import PAD_VALUE, SIZE, by_mmdet, detector, detector_config
from support.random_models import DETECTOR, build
from torch import nn

from hrnet_plugin.datasets import scene_of
from hrnet_plugin.export import Letterbox, detector_file, export_detector_onnx
from hrnet_plugin.export.detector_file import Comparison, Detections, compare_image, trace_detector
from hrnet_plugin.export.detector_graph import DetectorGraph, Suppression, add_nms
from hrnet_plugin.export.runtime import KEY, open_session

onnx = pytest.importorskip('onnx')
RNG = np.random.default_rng(0)
FIXED = Letterbox((64, 64), SIZE, pad_value=PAD_VALUE)
CLASSES = ('cat', 'dog', 'person')


def random_images(count: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, SIZE[1], SIZE[0], 3), np.uint8)


def run(path: Path, images: np.ndarray, runtime: str = 'onnxruntime') -> list[np.ndarray]:
    if runtime == 'onnxruntime':
        return open_session(path).run(None, {'images': images})
    openvino = pytest.importorskip('openvino')
    hint = {'INFERENCE_PRECISION_HINT': 'f32'}
    return list(openvino.compile_model(str(path), 'CPU', hint)(images).values())


def assert_detects_the_same(path: Path, model: nn.Module, images: np.ndarray) -> int:
    """Assert that both runtimes detect what MMDetection does; return the number of detections."""
    expected = by_mmdet(model, images)
    for runtime in ('onnxruntime', 'openvino'):
        boxes, scores, labels, image_indices = run(path, images, runtime)
        np.testing.assert_array_equal(
            image_indices, np.repeat(range(len(images)), [len(e) for e in expected])
        )
        np.testing.assert_array_equal(labels, np.concatenate([e.labels for e in expected]))
        for found, name, tolerance in ((boxes, 'bboxes', 1e-3), (scores, 'scores', 1e-5)):
            by_torch = np.concatenate([getattr(e, name) for e in expected])
            np.testing.assert_allclose(found, by_torch, atol=tolerance)
    return len(labels)


@pytest.mark.parametrize(
    ('head', 'test_cfg'),
    [
        pytest.param(
            dict(type='RTMDetHead', with_objectness=True, exp_on_reg=None),
            dict(max_per_img=7, score_thr=0.2, nms=dict(type='nms', iou_threshold=0.3)),
            id='objectness',
        ),
        pytest.param(
            dict(
                exp_on_reg=False,
                bbox_coder=dict(type='DistancePointBBoxCoder', clip_border=False),
            ),
            dict(nms_pre=20, score_thr=0.0),
            id='some candidates of each level, boxes that leave the image',
        ),
    ],
)
def test_each_head(tmp_path: Path, head: dict[str, Any], test_cfg: dict[str, Any]) -> None:
    """One file takes batches of any size, and returns what MMDetection does.

    See test_exported_detector.py for the published options, and for inputs of any size.
    """
    model = detector(detector_config(CLASSES, head, test_cfg))
    path = tmp_path / 'detector.onnx'
    images = [scene_of(0, 'val', i, (160, 120)).image for i in range(2)]
    result = export_detector_onnx(model, path, FIXED, class_names=CLASSES, images=images)
    assert result.box_difference <= 1e-3
    assert result.score_difference <= 1e-5
    assert result.detections > 20
    assert result.images == 6
    counts = [assert_detects_the_same(path, model, random_images(count)) for count in (1, 3)]
    assert min(counts) > 5


class TestFile:
    """A file whose threshold of scores leaves nothing."""

    @pytest.fixture(scope='class')
    @staticmethod
    def result(tmp_path_factory: pytest.TempPathFactory) -> detector_file.DetectorExport:
        path = tmp_path_factory.mktemp('detector') / 'new' / 'detector.onnx'
        cfg = detector_config(CLASSES, test_cfg=dict(score_thr=0.9999, max_per_img=9))
        return export_detector_onnx(detector(cfg), path, FIXED, class_names=CLASSES)

    def test_nothing_to_detect(self, result: detector_file.DetectorExport) -> None:
        assert result.detections > 20  # a lower threshold left these to the exporter
        for runtime in ('onnxruntime', 'openvino'):
            outputs = run(result.path, random_images(2), runtime)
            assert [output.shape for output in outputs] == [(0, 4), (0,), (0,), (0,)]

    def test_metadata(self, result: detector_file.DetectorExport) -> None:
        proto = onnx.load(result.path)
        metadata = json.loads({p.key: p.value for p in proto.metadata_props}[KEY])
        assert metadata | dict(version='') == dict(
            kind='detector',
            input_size=list(SIZE),
            letterbox=dict(
                resize_to=[64, 64],
                pad_to=list(SIZE),
                size_divisor=0,
                keep_ratio=True,
                interpolation='bilinear',
                pad_value=list(PAD_VALUE),
            ),
            color_order='rgb',
            mean=pytest.approx([103.53, 116.28, 123.675]),
            std=pytest.approx([57.375, 57.12, 58.395]),
            class_names=list(CLASSES),
            score_thr=0.9999,
            iou_thr=0.6,
            max_per_image=9,
            model='RTMDet with ResNet and RTMDetSepBNHead',
            version='',
        )
        names = [output.name for output in proto.graph.output]
        assert names == ['boxes', 'scores', 'labels', 'image_indices']

    def test_what_it_prints(self, result: detector_file.DetectorExport) -> None:
        text = f'{result.path}: RTMDet with ResNet and RTMDetSepBNHead, '
        assert str(result).startswith(text)
        assert f'for {result.detections} detections in 4 images' in str(result)
        assert result.path.stat().st_size == result.size


class TestDifferences:
    """What is a tie, and what is a mistake of the exported graph."""

    THRESHOLDS = Suppression(0.1, 0.5, 3, 1000, True)
    BOX, SHIFTED, FAR = [0, 0, 30, 30], [0, 10, 30, 40], [50, 50, 60, 60]  # IoU 0.5 and 0

    def of(self, *rows: tuple[list[int], float], label: int = 0) -> Detections:
        boxes, scores = zip(*rows)
        return Detections(np.array(boxes, np.float32), np.array(scores), np.full(len(rows), label))

    def test_same(self) -> None:
        both = self.of((self.BOX, 0.9), (self.FAR, 0.4))
        moved = Detections(both.boxes + np.float32(0.01), both.scores - 1e-5, both.labels)
        result = compare_image(both, moved, self.THRESHOLDS)
        assert (result.count, result.ties) == (2, 0)
        assert result.boxes == pytest.approx(0.01, rel=1e-3)
        assert result.scores == pytest.approx(1e-5)

    @pytest.mark.parametrize('swap', [False, True])
    def test_ties(self, swap: bool) -> None:
        def ties(*sides: Detections) -> int:
            return compare_image(*(sides[::-1] if swap else sides), self.THRESHOLDS).ties

        first = (self.BOX, 0.9)
        # The IoU is the threshold; then the other side keeps what that one would have suppressed.
        with_second = self.of(first, (self.SHIFTED, 0.8))
        assert ties(with_second, self.of(first)) == 1
        assert ties(with_second, self.of(first, ([0, 12, 30, 42], 0.7))) == 2
        # Two that suppress each other are equally good.
        close = [0, 1, 30, 31]
        assert ties(self.of(first), self.of((close, 0.9))) == 2
        # The score is the threshold; or it is that of the last one that there is space for.
        assert ties(self.of(first, (self.FAR, 0.100001)), self.of(first)) == 1
        full = [(self.BOX, 0.9), ([80, 0, 90, 9], 0.5)]
        assert ties(self.of(*full, (self.FAR, 0.4)), self.of(*full, ([0, 80, 9, 99], 0.4))) == 2

    @pytest.mark.parametrize('swap', [False, True])
    @pytest.mark.parametrize(
        ('rows', 'others'),
        [
            ([(BOX, 0.9), (FAR, 0.4)], [(BOX, 0.9)]),
            ([(BOX, 0.9)], [(BOX, 0.8)]),
            ([(BOX, 0.9)], [([0, 1, 30, 31], 0.8)]),
            # IoU 0.58: no threshold of 0.5 keeps it.
            ([(BOX, 0.9), ([0, 8, 30, 38], 0.8)], [(BOX, 0.9)]),
        ],
    )
    def test_mistakes(self, rows: Any, others: Any, swap: bool) -> None:
        sides = (self.of(*rows), self.of(*others))
        with pytest.raises(RuntimeError, match='of class 0 have no counterpart'):
            compare_image(*(sides[::-1] if swap else sides), self.THRESHOLDS)

    @pytest.mark.parametrize(
        ('difference', 'message'),
        [
            (Comparison(boxes=0.06), r'boxes by 0\.06 px \(0\.05\); no file was written'),
            (Comparison(scores=2e-4), r'scores by 0\.0002 \(0\.0001\); no file'),
            (Comparison(boxes=float('nan')) + Comparison(boxes=0.01), 'boxes by nan px'),
        ],
    )
    def test_tolerances(self, difference: Comparison, message: str) -> None:
        with pytest.raises(RuntimeError, match=message):
            detector_file.check_differences(difference)
        detector_file.check_differences(Comparison(boxes=0.04, scores=9e-5))

    def test_classes(self) -> None:
        sides = [self.of((self.BOX, 0.9), label=label) for label in (0, 1)]
        with pytest.raises(RuntimeError, match='1 of 1 detections of class 0 have no counterpart'):
            compare_image(*sides, self.THRESHOLDS)


class TestErrors:
    @pytest.fixture(scope='class')
    @staticmethod
    def model() -> nn.Module:
        return detector(detector_config())

    @staticmethod
    def export(
        path: Path, model: nn.Module, letterbox: Letterbox = FIXED
    ) -> detector_file.DetectorExport:
        return export_detector_onnx(
            model, path / 'detector.onnx', letterbox, class_names=['person']
        )

    @pytest.fixture(scope='class')
    @staticmethod
    def network(model: nn.Module) -> Any:
        return trace_detector(DetectorGraph(model, FIXED).eval(), FIXED)

    def test_other_weights_leave_no_file(
        self, tmp_path: Path, model: nn.Module, network: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = onnx.ModelProto()
        other.CopyFrom(network)
        weights = max(other.graph.initializer, key=lambda i: len(i.raw_data))
        weights.raw_data = bytes(len(weights.raw_data))
        monkeypatch.setattr(detector_file, 'trace_detector', lambda *_: other)
        with pytest.raises(RuntimeError, match=r'from MMDetection: .* no file was written'):
            self.export(tmp_path, model)
        # Candidates are compared, too: detections alone would leave most of the network out.
        monkeypatch.setattr(detector_file, 'compare_image', lambda *_: Comparison())
        with pytest.raises(RuntimeError, match=r'from PyTorch .* boxes by .* px .* no file was w'):
            self.export(tmp_path, model)
        assert list(tmp_path.iterdir()) == []

    def test_another_nms_leaves_no_file(
        self, tmp_path: Path, model: nn.Module, network: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stricter(proto: Any, suppression: Suppression) -> Any:
            return add_nms(proto, replace(suppression, iou_thr=0.5))

        monkeypatch.setattr(detector_file, 'trace_detector', lambda *_: network)
        monkeypatch.setattr(detector_file, 'add_nms', stricter)
        with pytest.raises(RuntimeError, match=r'of class 0 have no counterpart.* no file was'):
            self.export(tmp_path, model)
        assert list(tmp_path.iterdir()) == []

    def test_existing_file(self, tmp_path: Path, model: nn.Module) -> None:
        (tmp_path / 'detector.onnx').write_text('mine')
        with pytest.raises(FileExistsError, match=r'detector\.onnx exists already'):
            self.export(tmp_path, model)
        assert (tmp_path / 'detector.onnx').read_text() == 'mine'

    def test_class_names(self, tmp_path: Path, model: nn.Module) -> None:
        with pytest.raises(ValueError, match='class_names are 3, but the head has 1 classes'):
            export_detector_onnx(model, tmp_path / 'detector.onnx', FIXED, class_names=CLASSES)

    @pytest.mark.parametrize(
        ('head', 'message'),
        [
            (
                dict(type='ATSSHead', exp_on_reg=None, with_objectness=None),
                'is RTMDet with ATSSHead as its head; expected a single-stage detector with RTMDe',
            ),
            (dict(type='RTMDetInsHead', exp_on_reg=None), 'with RTMDetInsHead as its head; expec'),
            (dict(bbox_coder=dict(type='DeltaXYWHBBoxCoder')), 'the head has DeltaXYWHBBoxCoder'),
            (
                dict(loss_cls=dict(type='CrossEntropyLoss')),
                'loss_cls is CrossEntropyLoss without a sigmoid; expected one with use_sigmoid',
            ),
        ],
    )
    def test_other_heads(self, tmp_path: Path, head: dict[str, Any], message: str) -> None:
        model: Any = build(detector_config(head=head), 'mmdet')
        with pytest.raises(ValueError, match=message):
            self.export(tmp_path, model)

    def test_other_models(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match='the detector is Linear with NoneType as its head'):
            self.export(tmp_path, nn.Linear(1, 1))

    @pytest.mark.parametrize(
        ('test_cfg', 'message'),
        [
            (dict(nms=dict(type='soft_nms', iou_threshold=0.6)), r'test_cfg\.nms is .*soft_nms'),
            (dict(nms=dict(iou_threshold=0.6, class_agnostic=True)), 'class by class'),
            (dict(nms=None), r'test_cfg\.nms is None; expected dict'),
            (dict(min_bbox_size=5), 'min_bbox_size is 5, in pixels of images that the graph'),
            (dict(max_per_img=-1), 'max_per_img is -1; expected 1 or more'),
            (dict(nms_pre=-1), 'nms_pre is -1; expected 1 or more'),
        ],
    )
    def test_test_cfg(
        self, tmp_path: Path, model: Any, test_cfg: dict[str, Any], message: str
    ) -> None:
        changed = detector(detector_config(test_cfg=test_cfg))
        with pytest.raises(ValueError, match=message):
            self.export(tmp_path, changed)

    @pytest.mark.parametrize(
        ('letterbox', 'message'),
        [
            (Letterbox((64, 64), (96, 60)), 'padded to 96 x 60 pixels; expected multiples of 8'),
            (Letterbox((64, 64), size_divisor=4), 'to 4 pixels; expected multiples of 8, the la'),
            (Letterbox((96, 64), (64, 96), keep_ratio=False), r'resized to \(96, 64\) and padded'),
            (Letterbox((64, 96), (96, 64), keep_ratio=False), r'resized to \(64, 96\) and padded'),
            (Letterbox((96, 64), (96, 64)), 'that holds them in either orientation, or size_div'),
        ],
    )
    def test_sizes(
        self, tmp_path: Path, model: nn.Module, letterbox: Letterbox, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            self.export(tmp_path, model, letterbox)


@pytest.mark.slow
@pytest.mark.parametrize(
    'name',
    [
        'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
        'mmdet::rtmdet/rtmdet_x_p6_4xb8-300e_coco.py',
        DETECTOR,
    ],
)
def test_each_architecture(name: str, tmp_path: Path) -> None:
    """At a size that is not theirs: theirs differ by the number of candidates only."""
    cfg = Config.fromfile(name) if name == DETECTOR else get_config(name)
    cfg.model.backbone.init_cfg = None
    model = detector(cfg)
    letterbox = Letterbox((128, 128), size_divisor=64)
    count = cfg.model.bbox_head.num_classes
    result = export_detector_onnx(
        model, tmp_path / 'detector.onnx', letterbox, class_names=[str(i) for i in range(count)]
    )
    assert result.detections > 20
