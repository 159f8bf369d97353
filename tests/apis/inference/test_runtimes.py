"""Which runtime an exported model gets: the fastest that gives the same keypoints."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.export_models import METAINFO, SIZE, pose_model, small_backbone

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.apis.inference import exported, runtimes
from hrnet_plugin.apis.inference.exported import ExportedBackend, open_onnxruntime
from hrnet_plugin.export import export_onnx
from hrnet_plugin.export.runtime import KEY

pytest.importorskip('onnxruntime')
onnx = pytest.importorskip('onnx')
NAMES = ('ONNX Runtime float32', 'OpenVINO float32', 'OpenVINO bfloat16')


@pytest.fixture(scope='module')
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('exported') / 'pose.onnx'
    export_onnx(pose_model(small_backbone('hrnet')), path, SIZE, dataset_meta=METAINFO)
    return path


@pytest.fixture(autouse=True)
def _nothing_chosen_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, '_CHOSEN', {})
    monkeypatch.setattr(runtimes, 'TIMING_SECONDS', 0)


def moved(by: float) -> runtimes.Opener:
    """Another runtime, whose keypoints are off by so many pixels."""

    def opener(path: str | Path, device: str, threads: int = 0) -> ExportedBackend:
        real = open_onnxruntime(path, device, threads)

        def run(crops: np.ndarray) -> list[np.ndarray]:
            keypoints, scores = real.run(crops)
            return [keypoints + np.float32(by), scores]

        return ExportedBackend(real.metadata, run, f'moved by {by}')

    return opener


def take(monkeypatch: pytest.MonkeyPatch, *openers: runtimes.Opener, seconds: Any) -> None:
    """Let these be all runtimes, each of which takes so long."""
    monkeypatch.setattr(runtimes, 'OPENERS', openers)
    monkeypatch.setattr(runtimes, 'by_turns', lambda runs, **_: [seconds])


class TestChoice:
    @pytest.mark.parametrize(
        ('seconds', 'differences', 'best'),
        [
            ((3.0, 2.0, 1.0), (0, 0, 0.04), 2),
            ((3.0, 2.0, 1.0), (0, 0, 0.06), 1),
            ((3.0, 2.9, 1.0), (0, 0, 0.06), 0),  # hardly faster
            ((3.0, 2.0, 1.0), (0, float('nan'), float('inf')), 0),
            ((float('nan'),), (float('nan'),), 0),
        ],
    )
    def test_fastest_that_is_exact(
        self, seconds: tuple[float, ...], differences: tuple[float, ...], best: int
    ) -> None:
        backend: Any = None
        trials = [runtimes.Trial(moved(0), backend, s, d) for s, d in zip(seconds, differences)]
        assert runtimes.choose(trials) is trials[best]

    @pytest.mark.parametrize('by', [0.04, 0.06])
    def test_exactness_is_measured(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, by: float
    ) -> None:
        monkeypatch.setattr(runtimes, 'find_ties', lambda *_: np.zeros((1, 1), bool))
        take(monkeypatch, open_onnxruntime, moved(by), seconds=(0.03, 0.01))
        name = runtimes.open_fastest(file).name
        said = capsys.readouterr().err
        if by < runtimes.KEYPOINT_TOLERANCE:
            assert name == 'moved by 0.04'
            reason = 'moved by 0.04, 10 ms for 4 crops (ONNX Runtime float32 30 ms)'
        else:
            assert name == 'ONNX Runtime float32'
            reason = (
                'ONNX Runtime float32, 30 ms for 4 crops (moved by 0.06 10 ms, and moves '
                'keypoints by 0.06 px)'
            )
        assert said == f'{file} runs on {reason}\n'

    def test_ties_do_not_count(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runtimes, 'find_ties', lambda *_: np.ones((1, 1), bool))
        take(monkeypatch, open_onnxruntime, moved(9), seconds=(0.03, 0.01))
        assert runtimes.open_fastest(file).name == 'moved by 9'


def test_inferencer_chooses_once(file: Path, capsys: pytest.CaptureFixture) -> None:
    inferencer = PoseInferencer(str(file), device='cpu', runtime='auto')
    name = inferencer.pose.backend_name
    assert name in NAMES
    first = capsys.readouterr().err
    assert first.count('\n') == 1
    assert first.startswith(f'{file} runs on {name}, ')
    again = PoseInferencer(str(file), device='cpu', runtime='auto')
    assert again.pose.backend_name == name
    assert capsys.readouterr().err == ''


def test_a_missing_runtime_is_left_out(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, 'openvino', None)
    assert runtimes.open_fastest(file).name == 'ONNX Runtime float32'
    assert capsys.readouterr().err.endswith(
        "crops (runtime='openvino' needs OpenVINO: pip install openvino)\n"
    )
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    monkeypatch.setattr(runtimes, '_CHOSEN', {})
    with pytest.raises(ImportError, match='needs ONNX Runtime: pip install onnxruntime'):
        runtimes.open_fastest(file)


def test_a_gpu_gets_onnx_runtime(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, 'open_installed', None)
    monkeypatch.setattr(exported, 'PROVIDERS', dict(cuda='CPUExecutionProvider'))
    assert runtimes.open_fastest(file, 'cuda').name == 'ONNX Runtime float32'


def test_openvino_ir(file: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip('openvino')
    from hrnet_plugin.export.openvino_file import onnx_to_openvino

    onnx_to_openvino(file, tmp_path / 'pose.xml', False)
    opened, _ = runtimes.open_installed(tmp_path / 'pose.xml')
    has_bfloat16 = 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    assert [backend.name for _, backend in opened] == list(NAMES[1 : 3 if has_bfloat16 else 2])
    assert runtimes.open_fastest(tmp_path / 'pose.xml').name in NAMES[1:]


class TestTies:
    @staticmethod
    def peak(x: float, y: float, second: float = 0.0) -> np.ndarray:
        """A heatmap (1, 1, 16, 16) with a peak of height 1, and a pixel of another height."""
        rows, columns = np.mgrid[:16, :16]
        heatmap = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
        heatmap[1, 14] = second
        return heatmap[None, None].astype(np.float32)

    @pytest.mark.parametrize(
        ('heatmap', 'msra', 'others'),
        [
            (peak(5.2, 9.3), False, False),
            (peak(5.5, 9.3), True, True),  # two columns
            (peak(5.0, 9.3), True, False),  # the columns beside the highest
            (peak(5.2, 9.0), True, False),  # the rows above and below it
            (peak(5.2, 9.3, second=0.983), True, True),
            (peak(5.2, 9.3, second=0.9), False, False),
        ],
    )
    def test_pixels_that_rounding_decides(
        self, heatmap: np.ndarray, msra: bool, others: bool
    ) -> None:
        assert runtimes.are_ties(heatmap, 'msra').tolist() == [[msra]]
        assert runtimes.are_ties(heatmap, 'udp').tolist() == [[others]]

    def test_heatmaps_are_read_from_the_graph(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip('openvino')
        crops = np.zeros((2, SIZE[1], SIZE[0], 3), np.uint8)
        for tie, expected in ((2.0, True), (-1.0, False)):
            monkeypatch.setattr(runtimes, 'TIE', tie)
            assert (runtimes.find_ties(file, crops, 'dark') == np.full((2, 3), expected)).all()

        def rename(proto: Any) -> None:
            for node in proto.graph.node:
                for names in (node.input, node.output):
                    names[:] = ['maps' if name == 'heatmaps' else name for name in names]

        change(file, tmp_path / 'renamed.onnx', rename)
        monkeypatch.setattr(runtimes, 'TIE', 2.0)
        assert not runtimes.find_ties(tmp_path / 'renamed.onnx', crops, 'dark').any()


def change(file: Path, copy: Path, action: Callable[[Any], None]) -> None:
    """Copy an ONNX file with changes."""
    proto = onnx.load(file)
    action(proto)
    onnx.save(proto, copy)


def test_files_that_do_not_fit(file: Path, tmp_path: Path) -> None:
    def return_heatmaps(proto: Any) -> None:
        (entry,) = (each for each in proto.metadata_props if each.key == KEY)
        entry.value = entry.value.replace('"outputs": "keypoints"', '"outputs": "heatmaps"')

    change(file, tmp_path / 'heatmaps.onnx', return_heatmaps)
    with pytest.raises(ValueError, match=r'heatmaps\.onnx returns heatmaps; expected keypoints'):
        runtimes.open_fastest(tmp_path / 'heatmaps.onnx')
    with pytest.raises(ValueError, match='returns heatmaps; expected keypoints'):
        runtimes.open_fastest(tmp_path / 'heatmaps.onnx', None)
    with pytest.raises(FileNotFoundError, match=r'none\.onnx: there is no such file'):
        runtimes.open_fastest(tmp_path / 'none.onnx')
    change(file, tmp_path / 'other.onnx', lambda proto: proto.ClearField('metadata_props'))
    with pytest.raises(ValueError, match='is not a pose model of hrnet_plugin'):
        runtimes.open_fastest(tmp_path / 'other.onnx')
