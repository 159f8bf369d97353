"""Exported files compute what PyTorch computes, and say what they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.export_models import METAINFO, SIZE, codec_of, pose_model, small_backbone
from support.model_checks import SMALL
from torch import nn

from hrnet_plugin.export import export_onnx, onnx_file
from hrnet_plugin.export.runtime import KEY, open_session
from hrnet_plugin.models.families import FAMILIES

onnx = pytest.importorskip('onnx')
ARCHS = [(family.name, arch) for family in FAMILIES.values() for arch in family.archs]
RNG = np.random.default_rng(0)
CROPS = RNG.integers(0, 256, (2, SIZE[1], SIZE[0], 3), np.uint8)


def export(path: Path, model: nn.Module, **options: Any) -> onnx_file.OnnxExport:
    options = dict(input_size=SIZE, dataset_meta=METAINFO) | options
    return export_onnx(model, path, **options)


def run(path: Path, crops: np.ndarray) -> list[np.ndarray]:
    return open_session(path).run(None, {'crops': crops})


def expected(model: Any, crops: np.ndarray, flip_test: bool = False) -> tuple[np.ndarray, ...]:
    """Keypoints, scores and heatmaps by the estimator's own parts."""
    samples = [np.ascontiguousarray(crop.transpose(2, 0, 1)) for crop in crops]
    batch = dict(inputs=[torch.from_numpy(s) for s in samples], data_samples=[])
    with torch.inference_mode():
        images = model.data_preprocessor(batch, False)['inputs']
        heatmaps = model.head.forward(model.extract_feat(images))
        if flip_test:
            mirrored = model.head.forward(model.extract_feat(images.flip(-1)))
            mirrored = mirrored[:, METAINFO['flip_indices']].flip(-1)
            heatmaps = (heatmaps + mirrored) / 2
        keypoints, scores = zip(*map(model.head.decoder.decode, heatmaps.numpy()))
    return np.concatenate(keypoints), np.concatenate(scores), heatmaps.numpy()


@pytest.mark.parametrize(
    'structure',
    [pytest.param(s, marks=pytest.mark.slow) if s == 'naive' else s for s in SMALL],
)
def test_each_structure(tmp_path: Path, structure: str) -> None:
    """One file takes batches of any size, and returns what the estimator returns."""
    model = pose_model(small_backbone(structure))
    export(tmp_path / 'pose.onnx', model)
    for crops in (CROPS, CROPS[:1], CROPS[[0, 1, 0]]):
        keypoints, scores = run(tmp_path / 'pose.onnx', crops)
        by_torch = expected(model, crops)
        np.testing.assert_allclose(keypoints, by_torch[0], atol=0.01)
        np.testing.assert_allclose(scores, by_torch[1], rtol=1e-4, atol=1e-5)
    assert keypoints.std() > 1


@pytest.mark.parametrize(
    ('structure', 'mixing'), [('hrnet', True), ('hrformer', False), ('lite', True)]
)
def test_with_all_streams(tmp_path: Path, structure: str, mixing: bool) -> None:
    """HRNetV2 for poses: resizing, concatenation and mixing are in the graph."""
    model = pose_model(small_backbone(structure), mixing=mixing, flip_test=True)
    result = export(tmp_path / 'pose.onnx', model)
    assert result.heatmap_difference <= 1e-4
    for crops in (CROPS, CROPS[[0, 1, 0]]):
        keypoints, scores = run(tmp_path / 'pose.onnx', crops)
        by_torch = expected(model, crops, flip_test=True)
        np.testing.assert_allclose(keypoints, by_torch[0], atol=0.01)
        np.testing.assert_allclose(scores, by_torch[1], rtol=1e-4, atol=1e-5)
    assert keypoints.std() > 1


@pytest.mark.slow
@pytest.mark.parametrize('mixing', [False, True])
@pytest.mark.parametrize(
    ('family', 'arch'), [('HRNet', 'w18-small-v1'), ('LiteHRNet', 'lite-18'), ('HRFormer', 'tiny')]
)
def test_architectures_with_all_streams(
    tmp_path: Path, family: str, arch: str, mixing: bool
) -> None:
    model = pose_model(dict(type=f'hrnet_plugin.{family}', arch=arch), mixing=mixing)
    assert export(tmp_path / 'pose.onnx', model).heatmap_difference <= 1e-4
    keypoints, _ = run(tmp_path / 'pose.onnx', CROPS)
    np.testing.assert_allclose(keypoints, expected(model, CROPS)[0], atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(('family', 'arch'), ARCHS)
def test_each_architecture(tmp_path: Path, family: str, arch: str) -> None:
    model = pose_model(dict(type=f'hrnet_plugin.{family}', arch=arch))
    result = export(tmp_path / 'pose.onnx', model)
    assert result.heatmap_difference <= 1e-4
    keypoints, _ = run(tmp_path / 'pose.onnx', CROPS)
    assert keypoints.shape == (2, 3, 2)


@pytest.mark.parametrize('codec', ['dark', 'stock udp'])
def test_what_is_inside(tmp_path: Path, codec: str) -> None:
    """Normalization, flip test and decoding, with a head and a codec of MMPose too."""
    if codec == 'dark':
        model = pose_model(small_backbone('hrnet'), codec_of('dark'), flip_test=True)
    else:
        stock = dict(codec_of('udp'), type='mmpose.UDPHeatmap')
        del stock['variant']
        model = pose_model(
            small_backbone('hrnet'), stock, head='mmpose.HeatmapHead', flip_test=True
        )
    result = export(tmp_path / 'pose.onnx', model)
    keypoints, scores = run(tmp_path / 'pose.onnx', CROPS)
    by_torch = expected(model, CROPS, flip_test=True)
    if codec == 'stock udp':  # which stretches keypoints to the whole input
        by_torch = (by_torch[0] * (np.array(SIZE) - 1) / SIZE, *by_torch[1:])
    np.testing.assert_allclose(keypoints, by_torch[0], atol=0.01)
    np.testing.assert_allclose(scores, by_torch[1], rtol=1e-4, atol=1e-5)

    proto = onnx.load(tmp_path / 'pose.onnx')
    metadata = json.loads({p.key: p.value for p in proto.metadata_props}[KEY])
    assert metadata | dict(version='') == dict(
        input_size=list(SIZE),
        color_order='rgb',
        mean=pytest.approx([123.675, 116.28, 103.53]),
        std=pytest.approx([58.395, 57.12, 57.375]),
        keypoint_names=['nose', 'left_eye', 'right_eye'],
        keypoint_colors=[[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        skeleton=[[0, 1]],
        skeleton_colors=[[1, 2, 3]],
        sigmas=pytest.approx([0.03, 0.02, 0.02]),
        flip_pairs=[[1, 2]],
        codec=codec.split()[-1],
        is_udp=codec == 'stock udp',
        box_padding=1.25,
        outputs='keypoints',
        normalizes=True,
        flip_test=True,
        precision='float32',
        dynamic_size=False,
        model=f'HRNet and {"HeatmapHead"}',
        version='',
    )
    assert result.metadata.flip_test
    # Neither folders of this machine nor other traces of the exporter
    assert (
        str(Path(onnx_file.__file__).parent).encode() not in (tmp_path / 'pose.onnx').read_bytes()
    )


def test_heatmaps_of_normalized_images(tmp_path: Path) -> None:
    model = pose_model(small_backbone('hrnet'))
    result = export(tmp_path / 'pose.onnx', model, outputs='heatmaps', normalize=False)
    images = torch.randn(2, 3, SIZE[1], SIZE[0])
    (heatmaps,) = run(tmp_path / 'pose.onnx', images.numpy())
    with torch.inference_mode():
        by_torch = model.head.forward(model.extract_feat(images)).numpy()
    np.testing.assert_allclose(heatmaps, by_torch, atol=1e-4 * np.ptp(by_torch))
    assert result.keypoint_difference is None
    assert not result.metadata.normalizes


@pytest.mark.parametrize(
    ('structure', 'normalize'),
    [
        ('hrnet', True),
        pytest.param('hrnet', False, marks=pytest.mark.slow),
        pytest.param('lite', True, marks=pytest.mark.slow),
    ],
)
def test_dynamic_size(tmp_path: Path, structure: str, normalize: bool) -> None:
    model = pose_model(small_backbone(structure))
    options = dict(outputs='heatmaps', normalize=normalize, dynamic_size=True)
    result = export(tmp_path / 'pose.onnx', model, input_size=(64, 96), **options)
    assert result.metadata.dynamic_size
    torch.manual_seed(0)
    for width, height in ((64, 64), (192, 160)):
        images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
        with torch.inference_mode():
            normalized = model.data_preprocessor(dict(inputs=list(images), data_samples=[]))
            by_torch = model.head.forward(model.extract_feat(normalized['inputs'])).numpy()
        inputs = images.permute(0, 2, 3, 1) if normalize else normalized['inputs']
        (heatmaps,) = run(tmp_path / 'pose.onnx', inputs.numpy())
        assert heatmaps.shape == (2, 3, height // 4, width // 4)
        np.testing.assert_allclose(heatmaps, by_torch, atol=1e-4 * np.ptp(by_torch))


def test_other_sizes_are_compared_as_strictly(tmp_path: Path) -> None:
    model = pose_model(small_backbone('hrnet'))
    graph = onnx_file.InferenceGraph(
        model, (64, 96), outputs='heatmaps', normalize=True, flip_test=False, flip_indices=None
    )
    proto = onnx_file.trace(graph.eval(), (64, 96), dynamic_size=True)
    onnx_file.check_dynamic_size(graph, proto)
    with torch.no_grad():
        graph.model.head.final_layer.weight *= 1.001
    with pytest.raises(ValueError, match='exported for one size'):
        onnx_file.check_dynamic_size(graph, proto)


@pytest.mark.slow
def test_dynamic_size_of_windows(tmp_path: Path) -> None:
    """Windows of attention are cut, and padded, for the size of the example."""
    model = pose_model(small_backbone('hrformer'))
    with pytest.raises(ValueError, match='HRFormer has layers that are exported for one size'):
        export(
            tmp_path / 'pose.onnx',
            model,
            input_size=(64, 96),
            outputs='heatmaps',
            dynamic_size=True,
        )
    assert not list(tmp_path.iterdir())


def test_dynamic_size_that_cannot_be(tmp_path: Path) -> None:
    model = pose_model(small_backbone('hrnet'))
    with pytest.raises(ValueError, match=r'input_size=\(48, 64\); expected multiples of 32'):
        export(tmp_path / 'pose.onnx', model, outputs='heatmaps', dynamic_size=True)
    with pytest.raises(ValueError, match="dynamic_size=True is for outputs='heatmaps'"):
        export(tmp_path / 'pose.onnx', model, dynamic_size=True)
    assert not list(tmp_path.iterdir())


class TestErrors:
    @pytest.fixture(scope='class')
    def model(self) -> nn.Module:
        return pose_model(small_backbone('hrnet'))

    def test_a_mismatch_leaves_no_file(
        self, tmp_path: Path, model: nn.Module, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trace = onnx_file.trace

        def other_weights(*arguments: Any) -> Any:
            proto = trace(*arguments)
            weights = max(proto.graph.initializer, key=lambda i: len(i.raw_data))
            weights.raw_data = bytes(len(weights.raw_data))
            return proto

        monkeypatch.setattr(onnx_file, 'trace', other_weights)
        with pytest.raises(RuntimeError, match=r'heatmaps by .* no file was written'):
            export(tmp_path / 'pose.onnx', model)
        assert list(tmp_path.iterdir()) == []

    def test_existing_file(self, tmp_path: Path, model: nn.Module) -> None:
        (tmp_path / 'pose.onnx').write_text('mine')
        with pytest.raises(FileExistsError, match=r'pose\.onnx exists already'):
            export(tmp_path / 'pose.onnx', model)
        assert (tmp_path / 'pose.onnx').read_text() == 'mine'

    def test_options(self, tmp_path: Path, model: nn.Module) -> None:
        path = tmp_path / 'pose.onnx'
        with pytest.raises(ValueError, match="unknown outputs of export_onnx 'heatmap'; did you"):
            export(path, model, outputs='heatmap')
        with pytest.raises(ValueError, match=r'input_size .* = \(64, 64\), but head'):
            export_onnx(model, path, (64, 64), dataset_meta=METAINFO)
        with pytest.raises(ValueError, match='is_udp=True, but head'):
            export(path, model, is_udp=True)
        with pytest.raises(ValueError, match='a flip test in the graph needs flip pairs'):
            export_onnx(model, path, SIZE, flip_test=True)
        with pytest.raises(ValueError, match=r'a crop is uint8 \(4, 4, 3\); expected uint8'):
            onnx_file.check_crops(SIZE, [np.zeros((4, 4, 3), np.uint8)])

    def test_models_without_heatmaps(self, tmp_path: Path, model: nn.Module) -> None:
        with pytest.raises(ValueError, match='the model is Linear with NoneType as its head'):
            export(tmp_path / 'pose.onnx', nn.Linear(1, 1))

    @pytest.mark.parametrize(
        ('test_cfg', 'message'),
        [
            (dict(output_keypoint_indices=[0]), 'output_keypoint_indices cannot be exported'),
            (dict(flip_test=True, flip_mode='udp_combined'), "flip_mode is 'udp_combined'; expe"),
        ],
    )
    def test_test_cfg(self, tmp_path: Path, test_cfg: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            export(tmp_path / 'pose.onnx', pose_model(small_backbone('hrnet'), **test_cfg))

    def test_metainfo_of_another_skeleton(self, tmp_path: Path, model: nn.Module) -> None:
        meta = dict(METAINFO, num_keypoints=4)
        with pytest.raises(ValueError, match='the metainfo has 4 keypoints, the model 3'):
            export_onnx(model, tmp_path / 'pose.onnx', SIZE, dataset_meta=meta)

    def test_missing_package(
        self, tmp_path: Path, model: nn.Module, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__('sys').modules, 'onnxscript', None)
        with pytest.raises(ImportError, match='exporting needs onnxscript: pip install onnx'):
            export(tmp_path / 'pose.onnx', model)
