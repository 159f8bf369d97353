"""OpenVINO IR: the ONNX file's results, its metadata, and no half of a pair of files."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.export_models import METAINFO, SIZE, pose_model, rendered_crops, small_backbone

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.export import export_onnx, onnx_to_openvino, openvino_file
from hrnet_plugin.export.runtime import open_session, read_metadata

pytest.importorskip('onnx')
openvino = pytest.importorskip('openvino')
IMAGE = rendered_crops(1)[0]
BOXES = [[5.0, 5, 40, 60], [0, 0, 48, 64]]


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('onnx') / 'pose.onnx'
    export_onnx(pose_model(small_backbone('hrnet')), path, SIZE, dataset_meta=METAINFO)
    return path


@pytest.fixture(scope='module')
def converted(source: Path) -> Path:
    path = source.with_name('ir') / 'pose.xml'
    size = onnx_to_openvino(source, path)
    assert size == sum(file.stat().st_size for file in path.parent.iterdir())
    return path


def instances(model: Path, **options: Any) -> Any:
    inferencer = PoseInferencer(str(model), device='cpu', **options)
    (result,) = inferencer(IMAGE, bboxes=[BOXES], return_datasamples=True)
    return result['predictions'][0].pred_instances


def test_same_results(source: Path, converted: Path) -> None:
    """The suffix says which runtime is for a file."""
    assert {file.name for file in converted.parent.iterdir()} == {'pose.xml', 'pose.bin'}
    by_onnx, found = instances(source), instances(converted)
    np.testing.assert_allclose(found.keypoints, by_onnx.keypoints, atol=0.05)
    np.testing.assert_allclose(found.keypoint_scores, by_onnx.keypoint_scores, rtol=1e-3)
    _, metadata = openvino_file.read_openvino(openvino.Core(), converted)
    assert metadata == read_metadata(source, open_session(source))
    assert metadata['keypoint_names'] == ['nose', 'left_eye', 'right_eye']


@pytest.mark.parametrize('suffix', ['.onnx', '.xml'])
def test_bfloat16(source: Path, converted: Path, suffix: str) -> None:
    model = source if suffix == '.onnx' else converted
    if 'BF16' not in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        with pytest.raises(ValueError, match='this CPU does not have it'):
            instances(model, runtime='openvino', precision='bfloat16')
        return
    exact = instances(model, runtime='openvino').keypoint_scores
    found = instances(model, runtime='openvino', precision='bfloat16').keypoint_scores
    assert 0 < np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


class TestErrors:
    def test_existing_files(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / 'pose.bin').write_text('mine')
        with pytest.raises(FileExistsError, match=r'pose\.bin exists already'):
            onnx_to_openvino(source, tmp_path / 'pose.xml')
        assert (tmp_path / 'pose.bin').read_text() == 'mine'

    def test_a_mismatch_leaves_what_was_there(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def other(core: Any, model: Any) -> Any:
            return lambda _: dict(scores=np.full((2, 3), np.nan, np.float32))

        monkeypatch.setattr(openvino_file, 'compile_model', other)
        for name in ('pose.xml', 'pose.bin'):
            (tmp_path / name).write_text('mine')
        with pytest.raises(RuntimeError, match=r'scores of OpenVINO differ .* by nan of'):
            onnx_to_openvino(source, tmp_path / 'pose.xml', overwrite=True)
        assert sorted(file.name for file in tmp_path.iterdir()) == ['pose.bin', 'pose.xml']
        assert (tmp_path / 'pose.xml').read_text() == 'mine'

    def test_files(self, converted: Path, tmp_path: Path) -> None:
        copied = tmp_path / 'pose.xml'
        with pytest.raises(FileNotFoundError, match=r'pose\.xml: there is no such file'):
            instances(copied)
        copied.write_bytes(converted.read_bytes())
        with pytest.raises(FileNotFoundError, match=r'pose\.bin: there is no such file'):
            instances(copied)
        copied.with_suffix('.bin').write_bytes(converted.with_suffix('.bin').read_bytes())
        copied.write_text(converted.read_text().replace('hrnet_plugin', 'another'))
        with pytest.raises(ValueError, match='not a pose model of hrnet_plugin: it has no meta'):
            instances(copied)
        copied.write_text('<annotation/>')
        with pytest.raises(ValueError, match=r'pose\.xml is not OpenVINO IR that can be opened'):
            instances(copied)

    def test_runtimes(self, source: Path, converted: Path) -> None:
        with pytest.raises(ValueError, match=r"is for OpenVINO: give runtime='openvino', or none"):
            instances(converted, runtime='onnxruntime')
        with pytest.raises(ValueError, match="precision='bfloat16' is for runtime='openvino'"):
            instances(source, precision='bfloat16')
        with pytest.raises(ValueError, match="unknown precision of the runtime 'bf16'"):
            instances(converted, precision='bf16')

    def test_missing_package(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, 'openvino', None)
        with pytest.raises(ImportError, match='IR needs OpenVINO: pip install openvino'):
            onnx_to_openvino(source, tmp_path / 'pose.xml')
        assert list(tmp_path.iterdir()) == []
