"""Exported models in the inferencer, and on their own: the keypoints of PyTorch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.random_models import POSE

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.apis.inference.exported import PROVIDERS, providers_of
from hrnet_plugin.apis.inference.runtimes import open_model
from hrnet_plugin.export import OnnxPose

pytest.importorskip('onnx')
BOXES = [[20.0, 30, 120, 220], [100, 20, 200, 230], [10, 10, 150, 230]]
# Two pixels of a heatmap that are equally high, or nearly, are told apart by rounding.
CLOSE = 0.05


def instances(inferencer: PoseInferencer, image: np.ndarray) -> Any:
    (result,) = inferencer(image, bboxes=[BOXES], return_datasamples=True)
    return result['predictions'][0].pred_instances


@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
def test_same_results_without_a_config(
    weights: Path, exported: Path, images: list[np.ndarray], runtime: str
) -> None:
    pytest.importorskip(runtime)
    by_torch = instances(PoseInferencer(POSE, str(weights / 'pose.pth'), 'cpu'), images[0])
    inferencer = PoseInferencer(str(exported), device='cpu', runtime=runtime)
    found = instances(inferencer, images[0])
    assert np.abs(found.keypoints - by_torch.keypoints).max() < CLOSE
    np.testing.assert_allclose(found.keypoint_scores, by_torch.keypoint_scores, atol=1e-4)
    np.testing.assert_array_equal(found.bboxes, by_torch.bboxes)
    meta = inferencer.pose.dataset_meta
    assert meta['num_keypoints'] == 17
    assert meta['keypoint_id2name'][5] == 'left_shoulder'
    assert meta['flip_indices'][5] == 6


def test_runtime_of_a_small_device(
    exported: Path, weights: Path, images: list[np.ndarray]
) -> None:
    """OnnxPose cuts, batches and maps back as MMPose's pipeline and estimator do."""
    by_torch = instances(PoseInferencer(POSE, str(weights / 'pose.pth'), 'cpu'), images[0])
    pose = OnnxPose(exported)
    for batch_size in (1, 2, 16):
        keypoints, scores = pose(images[0], BOXES, batch_size)
        assert np.abs(keypoints - by_torch.keypoints).max() < CLOSE
        np.testing.assert_allclose(scores, by_torch.keypoint_scores, atol=1e-3)
    assert pose(images[0])[0].shape == (1, 17, 2)
    assert pose(images[0], [])[0].shape == (0, 17, 2)


def test_it_needs_neither_torch_nor_this_package(exported: Path, tmp_path: Path) -> None:
    """The file runs where only numpy, OpenCV and ONNX Runtime can be imported."""
    from hrnet_plugin.export import runtime

    copied = tmp_path / 'pose_runtime.py'
    copied.write_text(Path(runtime.__file__).read_text())
    code = f"""
import sys
for name in ('torch', 'mmengine', 'mmcv', 'mmpose', 'mmdet', 'hrnet_plugin', 'onnx'):
    sys.modules[name] = None
import numpy as np
from pose_runtime import OnnxPose
keypoints, scores = OnnxPose({str(exported)!r})(np.full((99, 60, 3), 128, np.uint8))
print(keypoints.shape, scores.shape)
"""
    result = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.stdout.strip() == '(1, 17, 2) (1, 17)', result.stderr


SIGNAL = """
import gc, os, signal, sys
from hrnet_plugin.apis.inference.exported import open_exported

first = open_exported(sys.argv[1], 'cpu', 'openvino')
second = open_exported(sys.argv[1], 'cpu', 'openvino')
for name in ('first', 'second'):  # not in reverse order
    del globals()[name]
    gc.collect()
signal.signal(signal.SIGALRM, lambda *_: print('handled'))
os.kill(os.getpid(), signal.SIGALRM)
"""


def test_a_signal_after_models_of_openvino(exported: Path) -> None:
    """Ctrl-C, the end of a data loader's worker: with a core each, a segmentation fault."""
    pytest.importorskip('openvino')
    command = [sys.executable, '-W', 'ignore', '-c', SIGNAL, str(exported)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout.split()) == (0, ['handled']), result.stderr


@pytest.mark.slow
def test_fresh_environment(exported: Path, images: list[np.ndarray], tmp_path: Path) -> None:
    """Only numpy, OpenCV and ONNX Runtime are installed: the same results."""
    from hrnet_plugin.export import runtime

    copied = tmp_path / 'pose_runtime.py'
    copied.write_text(Path(runtime.__file__).read_text())
    cv2.imwrite(str(tmp_path / 'image.png'), images[0])
    python = tmp_path / 'fresh' / 'bin' / 'python'
    subprocess.run([sys.executable, '-m', 'venv', tmp_path / 'fresh'], check=True)
    packages = ('numpy', 'opencv-python-headless', 'onnxruntime')
    pip = (python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check')
    subprocess.run([*pip, *packages], check=True)
    code = f"""
import cv2, json
from importlib.util import find_spec
from pose_runtime import OnnxPose
assert not any(map(find_spec, ('torch', 'mmengine', 'mmpose', 'hrnet_plugin', 'onnx')))
keypoints, scores = OnnxPose({str(exported)!r})(cv2.imread('image.png'), {BOXES})
print(json.dumps([keypoints.tolist(), scores.tolist()]))
"""
    env = dict(PATH='', HOME=str(tmp_path))  # no PYTHONPATH
    result = subprocess.run(
        [python, '-c', code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    keypoints, scores = OnnxPose(exported)(images[0], BOXES)
    # Another version of OpenCV may round a pixel of a crop another way.
    for found, expected, close in zip(
        json.loads(result.stdout), (keypoints, scores), (CLOSE, 1e-3)
    ):
        np.testing.assert_allclose(found, expected, atol=close)


class TestDevices:
    def test_a_device_that_the_runtime_lacks(
        self, exported: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """ONNX Runtime by itself would go on with the CPU."""
        import onnxruntime

        lacking = 'ROCMExecutionProvider'  # no longer part of ONNX Runtime
        assert lacking not in onnxruntime.get_available_providers()
        monkeypatch.setitem(PROVIDERS, 'cuda', lacking)
        message = f'ONNX Runtime cannot use {lacking} here.*onnxruntime-gpu'
        for device in ('cuda', 'cuda:0'):
            for runtime in (None, 'auto'):
                with pytest.raises(ValueError, match=message):
                    PoseInferencer(str(exported), device=device, runtime=runtime)
        with pytest.raises(ValueError, match=message):
            OnnxPose(exported, providers=[lacking])

    def test_unknown(self, exported: Path) -> None:
        with pytest.raises(ValueError, match=r"device of an exported model 'cdua'.*'cuda'"):
            PoseInferencer(str(exported), device='cdua')
        with pytest.raises(ValueError, match="device='cuda', but OpenVINO runs models on the CPU"):
            PoseInferencer(str(exported), device='cuda', runtime='openvino')

    def test_default(self, exported: Path) -> None:
        """The best that the runtime has, whatever torch sees."""
        import onnxruntime

        backend = open_model(exported, None)[1]
        gpus = {'CUDAExecutionProvider', 'CoreMLExecutionProvider'}
        assert backend.is_on_cpu != bool(gpus & {*onnxruntime.get_available_providers()})

    def test_number_of_a_gpu(self) -> None:
        assert providers_of('cuda:2')[0] == ('CUDAExecutionProvider', {'device_id': 2})
        assert providers_of('cpu') == [('CPUExecutionProvider', {})]


class TestErrors:
    def test_boxes_and_images(self, exported: Path, images: list[np.ndarray]) -> None:
        pose = OnnxPose(exported)
        with pytest.raises(ValueError, match=r'boxes have shape \(4,\); expected \(N, 4\)'):
            pose(images[0], [1, 2, 3, 4])
        with pytest.raises(ValueError, match=r'box 1 is \[5.*expected x1 < x2'):
            pose(images[0], [[0, 0, 9, 9], [5, 5, 5, 9]])
        with pytest.raises(ValueError, match='the image is of float64; expected uint8'):
            pose(images[0] / 255)
        with pytest.raises(ValueError, match=r'the image is \(320, 240\); expected an array'):
            pose(images[0][..., 0].reshape(320, 240))

    def test_files(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r'none\.onnx: there is no such file'):
            PoseInferencer(str(tmp_path / 'none.onnx'), device='cpu')
        (tmp_path / 'text.onnx').write_text('no model')
        with pytest.raises(ValueError, match=r'text\.onnx is not an ONNX model'):
            OnnxPose(tmp_path / 'text.onnx')

    def test_models_of_others(self, tmp_path: Path) -> None:
        onnx = pytest.importorskip('onnx')
        value = onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [1])
        other = onnx.helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [1])
        node = onnx.helper.make_node('Identity', ['x'], ['y'])
        model = onnx.helper.make_model(
            onnx.helper.make_graph([node], 'g', [value], [other]),
            opset_imports=[onnx.helper.make_opsetid('', 18)],
        )
        model.ir_version = 9
        onnx.save(model, tmp_path / 'other.onnx')
        with pytest.raises(ValueError, match='not a pose model of hrnet_plugin: it has no meta'):
            PoseInferencer(str(tmp_path / 'other.onnx'), device='cpu')

    def test_runtimes(self, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ValueError, match="unknown runtime 'openvin'; did you mean 'openvino'"):
            PoseInferencer(str(exported), device='cpu', runtime='openvin')
        monkeypatch.setitem(sys.modules, 'openvino', None)
        with pytest.raises(ImportError, match="runtime='openvino' needs OpenVINO: pip install"):
            PoseInferencer(str(exported), device='cpu', runtime='openvino')
        monkeypatch.setitem(sys.modules, 'onnxruntime', None)
        with pytest.raises(ImportError, match='needs ONNX Runtime: pip install onnxruntime'):
            OnnxPose(exported)
