"""Exported models for the inferencer: a config from the file's metadata, and a backend."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from ...export.metadata import PoseMetadata
from ...export.openvino_file import compile_model, open_core, read_openvino
from ...export.runtime import open_session, read_metadata
from ...utils.errors import unknown_name
from .backends import BackendOutput, PoseBackend

SUFFIXES = {'.onnx': 'onnxruntime', '.xml': 'openvino'}  # of exported models; their runtimes
HINTS = dict(float32='f32', bfloat16='bf16')  # of OpenVINO
CPU = 'CPUExecutionProvider'
PROVIDERS = dict(cpu=CPU, cuda='CUDAExecutionProvider', mps='CoreMLExecutionProvider')
AUTO = 'auto'  # the fastest runtime that is exact enough: see runtimes.py


def is_exported(model: Any) -> bool:
    """Whether this is the path of an exported model."""
    return isinstance(model, str | Path) and Path(model).suffix.lower() in SUFFIXES


def open_exported(
    path: str | Path, device: str | None, runtime: str | None = None, precision: str = 'float32'
) -> tuple[Config, PoseBackend]:
    """Open an exported model.

    Args:
        path: File that ``hrnet-plugin export`` has written.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'`` or ``'mps'``; by default the best on which the
            runtime works here.
        runtime: One of :data:`RUNTIMES`; by default OpenVINO for ``*.xml``, else ONNX Runtime.
        precision: ``'float32'``; or ``'bfloat16'``, in which OpenVINO computes float32 layers of
            the network, on CPUs that have it.

    Returns:
        A config whose pipeline cuts and packs crops as the model needs them, and the backend that
        runs it.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: The runtime is not installed.
        ValueError: The file is not a pose model of this package, or returns heatmaps; or the
            runtime is not for it or this precision.
    """
    runtime = runtime or SUFFIXES[Path(path).suffix.lower()]
    if runtime not in RUNTIMES:
        raise ValueError(unknown_name('runtime', runtime, (AUTO, *RUNTIMES)))
    backend = RUNTIMES[runtime](path, device, 0, precision)
    check_outputs(path, backend.metadata)
    return config_of(backend.metadata), backend


def check_outputs(path: str | Path, metadata: PoseMetadata) -> None:
    """Raise a ValueError unless an exported model returns keypoints."""
    if metadata.outputs != 'keypoints':
        raise ValueError(
            f'{path} returns heatmaps; expected keypoints: export it without --outputs heatmaps'
        )


class ExportedBackend:
    """A network whose graph decodes, in any runtime.

    Args:
        metadata: What the file says about the model.
        run: Takes crops as the graph does; returns keypoints (N, K, 2), in pixels of the crop,
            and scores (N, K).
        name: Runtime and precision, for users to read.
        is_on_cpu: Whether the network runs on the CPU.
    """

    def __init__(
        self,
        metadata: PoseMetadata,
        run: Callable[[np.ndarray], Sequence[np.ndarray]],
        name: str,
        is_on_cpu: bool = True,
    ) -> None:
        self.metadata = metadata
        self.is_on_cpu = is_on_cpu
        self.run = run
        self.name = name
        width, height = metadata.input_size
        # MMPose's estimators map an input of this size to the box, also with UDP, where the box
        # is a pixel shorter.
        shorter = 1 if metadata.is_udp else 0
        self._stretch = np.array(
            [width / (width - shorter), height / (height - shorter)], np.float32
        )

    def __call__(self, inputs: np.ndarray) -> BackendOutput:
        if self.metadata.normalizes:  # the preprocessor has left them as they were cut out
            inputs = np.ascontiguousarray(inputs.transpose(0, 2, 3, 1).astype(np.uint8))
        keypoints, scores = self.run(inputs)
        return BackendOutput(keypoints=keypoints * self._stretch, scores=scores)


def providers_of(device: str | None) -> list[Any] | None:
    """Return what ONNX Runtime calls a device.

    Args:
        device: As :func:`open_exported` takes it.

    Raises:
        ValueError: The device is unknown.
    """
    if device is None:
        return None
    kind, _, number = device.partition(':')
    if kind not in PROVIDERS or (number and not number.isdigit()):
        raise ValueError(
            unknown_name('device of an exported model', device, ('cpu', 'cuda', 'cuda:1', 'mps'))
        )
    options = dict(device_id=int(number)) if kind == 'cuda' and number else {}
    return [(PROVIDERS[kind], options), *([] if kind == 'cpu' else [CPU])]


@dataclass(frozen=True)
class OpenedGraph:
    """The graph of an exported file, opened in a runtime.

    Attributes:
        content: What the file says about the model.
        run: Takes the input of the graph, returns its outputs in their order.
        is_on_cpu: Whether it runs on the CPU.
    """

    content: dict[str, Any]
    run: Callable[[np.ndarray], Sequence[np.ndarray]]
    is_on_cpu: bool = True


def graph_in_onnxruntime(
    path: str | Path, device: str | None, threads: int = 0, kind: str = 'pose model'
) -> OpenedGraph:
    """Open the graph of a file with ONNX Runtime.

    Args:
        path: The file.
        device: See :func:`open_exported`.
        threads: Number of threads; 0 leaves it to ONNX Runtime.
        kind: ``'pose model'`` or ``'detector'``.

    Raises:
        ValueError: The file is for OpenVINO or of another kind, or ONNX Runtime does not work on
            the device.
    """
    if Path(path).suffix.lower() == '.xml':
        raise ValueError(f"{path} is for OpenVINO: give runtime='openvino', or none")
    session = open_session(path, threads, providers_of(device))
    content = read_metadata(path, session, kind)
    name = session.get_inputs()[0].name
    return OpenedGraph(
        content,
        lambda inputs: session.run(None, {name: inputs}),
        is_on_cpu=not ({*PROVIDERS.values()} - {CPU}) & {*session.get_providers()},
    )


def graph_in_openvino(
    path: str | Path,
    device: str | None,
    threads: int = 0,
    kind: str = 'pose model',
    precision: str = 'float32',
) -> OpenedGraph:
    """Open the graph of a file with OpenVINO, on the CPU.

    Args:
        path: The file.
        device: ``'cpu'`` or None.
        threads: Number of threads; 0 leaves it to OpenVINO.
        kind: ``'pose model'`` or ``'detector'``.
        precision: ``'bfloat16'`` computes in it what the file has in float32.

    Raises:
        ImportError: OpenVINO is not installed.
        ValueError: The device is another, the precision is unknown, or the CPU does not have it;
            or the file is of another kind.
    """
    if device not in (None, 'cpu'):
        raise ValueError(
            f"device={device!r}, but OpenVINO runs models on the CPU here; give 'cpu', or an "
            "*.onnx file and runtime='onnxruntime'"
        )
    core = open_core("runtime='openvino'")
    if precision not in HINTS:
        raise ValueError(unknown_name('precision of the runtime', precision, HINTS))
    if precision == 'bfloat16' and 'BF16' not in core.get_property(
        'CPU', 'OPTIMIZATION_CAPABILITIES'
    ):
        raise ValueError("precision='bfloat16', but this CPU does not have it; use 'float32'")
    model, content = read_openvino(core, path, kind)
    compiled = compile_model(core, model, HINTS[precision], threads)

    def run(inputs: np.ndarray) -> list[np.ndarray]:
        # The arrays of a request are overwritten by the next one.
        return [output.copy() for output in compiled(inputs).values()]

    return OpenedGraph(content, run)


def open_onnxruntime(
    path: str | Path, device: str | None, threads: int = 0, precision: str = 'float32'
) -> ExportedBackend:
    """Open a model with ONNX Runtime, which computes in the precision of the file.

    Args:
        path: The file.
        device: See :func:`open_exported`.
        threads: Number of threads; 0 leaves it to ONNX Runtime.
        precision: ``'float32'``; the others are for OpenVINO.

    Raises:
        ValueError: The file is for OpenVINO, another precision is asked for, or ONNX Runtime does
            not work on the device.
    """
    if precision != 'float32':
        raise ValueError(
            f"precision={precision!r} is for runtime='openvino'; ONNX Runtime computes in the "
            "file's: export it with --half or --int8"
        )
    graph = graph_in_onnxruntime(path, device, threads)
    metadata = PoseMetadata(**graph.content)
    name = f'ONNX Runtime {metadata.precision}'
    return ExportedBackend(metadata, graph.run, name, graph.is_on_cpu)


def open_openvino(
    path: str | Path, device: str | None, threads: int = 0, precision: str = 'float32'
) -> ExportedBackend:
    """Open a model with OpenVINO, on the CPU.

    Args:
        path: The file.
        device: ``'cpu'`` or None.
        threads: Number of threads; 0 leaves it to OpenVINO.
        precision: ``'bfloat16'`` computes in it what the file has in float32.

    Raises:
        ImportError: OpenVINO is not installed.
        ValueError: The device is another, the precision is unknown, or the CPU does not have it.
    """
    graph = graph_in_openvino(path, device, threads, precision=precision)
    metadata = PoseMetadata(**graph.content)
    computed = metadata.precision
    if precision == 'bfloat16':
        computed = 'bfloat16' if computed == 'float32' else f'{computed} and bfloat16'
    return ExportedBackend(metadata, graph.run, f'OpenVINO {computed}')


RUNTIMES: dict[str, Callable[[str | Path, str | None, int, str], ExportedBackend]] = {
    'onnxruntime': open_onnxruntime,
    'openvino': open_openvino,
}


def config_of(metadata: PoseMetadata) -> Config:
    """Return a config of MMPose with the test pipeline and the metainfo of an exported model."""
    preprocessor: dict[str, Any] = dict(type='PoseDataPreprocessor')
    if not metadata.normalizes:
        is_rgb = metadata.color_order == 'rgb'
        preprocessor.update(mean=metadata.mean, std=metadata.std, bgr_to_rgb=is_rgb)
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale', padding=metadata.box_padding),
        dict(type='TopdownAffine', input_size=metadata.input_size, use_udp=metadata.is_udp),
        dict(type='PackPoseInputs'),
    ]
    dataset = dict(
        type='CocoDataset', data_mode='topdown', metainfo=metainfo_of(metadata), pipeline=pipeline
    )
    return Config(
        dict(
            default_scope='mmpose',
            model=dict(
                type='TopdownPoseEstimator',
                data_preprocessor=preprocessor,
                head=dict(out_channels=len(metadata.keypoint_names)),
            ),
            test_dataloader=dict(dataset=dataset),
        )
    )


def metainfo_of(metadata: PoseMetadata) -> dict[str, Any]:
    """Return the metainfo of an exported model, as MMPose's dataset configs write it."""
    names = metadata.keypoint_names
    swap = {a: b for pair in metadata.flip_pairs for a, b in (pair, pair[::-1])}
    return dict(
        dataset_name='exported',
        keypoint_info={
            i: dict(
                id=i,
                name=name,
                color=metadata.keypoint_colors[i],
                swap=names[swap[i]] if i in swap else '',
            )
            for i, name in enumerate(names)
        },
        skeleton_info={
            i: dict(link=(names[a], names[b]), id=i, color=metadata.skeleton_colors[i])
            for i, (a, b) in enumerate(metadata.skeleton)
        },
        joint_weights=[1.0] * len(names),
        sigmas=metadata.sigmas or [0.05] * len(names),
    )
