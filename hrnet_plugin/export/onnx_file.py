"""Export a pose model as an ONNX file that is checked against PyTorch before it is written."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..utils.atomic_files import write_atomically
from ..utils.errors import unknown_name
from .graph import InferenceGraph
from .metadata import BOX_PADDING, PoseMetadata, describe_keypoints
from .precision import PRECISIONS, reduce_precision
from .runtime import KEY

OPSET = 20
OUTPUTS = ('keypoints', 'heatmaps')
INSTALL = 'pip install onnx onnxscript onnxruntime'
# Largest difference between ONNX Runtime and PyTorch: of heatmaps, of their range; of keypoints
# that both decode from the same heatmaps, in pixels of the crop. What reduced precision costs has
# to be measured as AP: its tolerances only tell it from another network, nan or zeros.
HEATMAP_TOLERANCES = dict(float32=1e-4, float16=0.05, int8=0.5)
KEYPOINT_TOLERANCE = 0.01
BATCHES = (1, 3)  # of crops, to check that the batch is dynamic
CALIBRATION_BATCH = 8
SIZE_STEP = 32  # pixels of an image for one of the smallest stream's
TRACED_SIZE = (96, 128)  # (w, h) of the example where the size is dynamic


@dataclass(frozen=True)
class OnnxExport:
    """What was exported, and how far it is from PyTorch.

    Attributes:
        path: The file.
        metadata: What the file says about the model.
        opset: Version of the ONNX operators.
        size: Size of the file in bytes.
        heatmap_difference: Largest difference of heatmaps, of their range.
        keypoint_difference: Largest difference of keypoints that ONNX Runtime and PyTorch decode
            from the same heatmaps, in pixels of the crop; None without decoding.
        crops: Number of crops that were compared.
    """

    path: Path
    metadata: PoseMetadata
    opset: int
    size: int
    heatmap_difference: float
    keypoint_difference: float | None
    crops: int

    def __str__(self) -> str:
        keypoints = (
            ''
            if self.keypoint_difference is None
            else f', of keypoints {self.keypoint_difference:.2g} px'
        )
        return (
            f'{self.path}: {self.metadata.model}, {self.metadata.precision}, '
            f'{self.size / 1e6:.1f} MB, opset {self.opset}; largest difference between '
            f'ONNX Runtime and PyTorch on {self.crops} crops: of heatmaps '
            f'{self.heatmap_difference:.2g} of their range{keypoints}'
        )


def export_onnx(
    model: Any,
    path: str | Path,
    input_size: tuple[int, int],
    *,
    outputs: str = 'keypoints',
    normalize: bool = True,
    flip_test: bool | None = None,
    dataset_meta: Mapping[str, Any] | None = None,
    box_padding: float = BOX_PADDING,
    is_udp: bool | None = None,
    crops: Sequence[np.ndarray] = (),
    precision: str = 'float32',
    calibration: Sequence[np.ndarray] = (),
    dynamic_size: bool = False,
    overwrite: bool = False,
) -> OnnxExport:
    """Export a pose model as ONNX, with normalization, flip test and decoding in the graph.

    The batch size is dynamic. The file is written after ONNX Runtime has computed the same as
    PyTorch, and describes the model in its metadata, so that it runs without a config.

    Reduced precision is that of the network: inputs, normalization, averaging, decoding and
    outputs are as in float32. Heatmaps may then differ from PyTorch's by a twentieth of their
    range (float16) or half of it (int8), which only excludes another network: look at the
    difference that is returned, and evaluate the file. Int8 is for CPUs with VNNI or newer.

    Args:
        model: A top-down pose estimator of MMPose or of this package with a heatmap head.
        path: The file to write, ``*.onnx``.
        input_size: (w, h) of crops, in pixels.
        outputs: ``'keypoints'`` returns keypoints (N, K, 2) in pixels of the crop and scores
            (N, K); ``'heatmaps'`` leaves decoding out and returns heatmaps (N, K, H, W).
        normalize: Takes uint8 crops (N, h, w, 3) in BGR; otherwise normalized images (N, 3, h, w).
        flip_test: Averages with the mirrored crop; as ``test_cfg`` of the model says unless given.
        dataset_meta: Metainfo of the dataset as MMPose parses it: names, flip pairs, sigmas.
        box_padding: Factor by which boxes are enlarged before they are cut out.
        is_udp: Whether crops are cut with UDP; as the codec says unless given.
        crops: Crops (h, w, 3) in BGR to compare on, beside random ones, or for int8 beside some
            of ``calibration``.
        precision: ``'float32'``, ``'float16'`` or ``'int8'``.
        calibration: Crops (h, w, 3) in BGR like those of use, 100 or more, from which ranges of
            ``'int8'`` are taken.
        dynamic_size: Takes images whose sides are any multiples of 32 from 64 to 4096 pixels; for
            ``outputs='heatmaps'``, of networks whose layers follow the size.
        overwrite: Replaces an existing file.

    Returns:
        What was exported, with the largest differences.

    Raises:
        FileExistsError: ``path`` exists, and ``overwrite`` is False.
        ImportError: onnx, onnxscript or onnxruntime is not installed.
        RuntimeError: The exported graph computes something else than PyTorch.
        ValueError: The model or an argument is none of the above, or the network has layers of a
            fixed size.
    """
    path = Path(path)
    if outputs not in OUTPUTS:
        raise ValueError(unknown_name('outputs of export_onnx', outputs, OUTPUTS))
    if path.exists() and not overwrite:
        raise FileExistsError(f'{path} exists already: give another name, or overwrite=True')
    check_precision(precision, len(calibration) > 0)
    if dynamic_size and outputs != 'heatmaps':
        raise ValueError(
            "dynamic_size=True is for outputs='heatmaps': decoding in the graph is for one size"
        )
    if dynamic_size and any(side % SIZE_STEP or side < 2 * SIZE_STEP for side in input_size):
        raise ValueError(
            f'dynamic_size=True with input_size={tuple(input_size)}; expected multiples of '
            f'{SIZE_STEP} from {2 * SIZE_STEP}, as of all images'
        )
    check_crops(input_size, [*crops, *calibration])
    onnx = import_onnx()
    if flip_test is None:
        flip_test = bool((getattr(model, 'test_cfg', None) or {}).get('flip_test'))
    graph = InferenceGraph(
        model,
        input_size,
        outputs=outputs,
        normalize=normalize,
        flip_test=flip_test,
        flip_indices=list((dataset_meta or {}).get('flip_indices', ())),
    ).eval()
    codec = graph.codec
    if is_udp is None:
        is_udp = codec is not None and codec.is_udp
    if codec is not None and is_udp != codec.is_udp:
        raise ValueError(
            f'is_udp={is_udp}, but head.decoder has the variant {codec.variant!r}; crops and '
            'codec have to follow UDP alike'
        )
    keypoints = describe_keypoints(dataset_meta, graph.num_keypoints)
    inputs = batches(graph, calibration, CALIBRATION_BATCH)
    with quiet():
        traced = trace(graph, input_size, dynamic_size)
        if dynamic_size:
            check_dynamic_size(graph, traced)
        proto = reduce_precision(traced, precision, map(Tensor.numpy, inputs))
    if precision == 'int8':  # noise is far from what it was calibrated for
        samples = [next(batches(graph, calibration, count)) for count in BATCHES]
    else:
        samples = [random_crops(graph, input_size, count) for count in BATCHES]
    samples += batches(graph, crops, max(1, len(crops)))
    heatmap_difference, keypoint_difference = compare(graph, proto, samples)
    check_differences(heatmap_difference, keypoint_difference, precision)

    metadata = PoseMetadata(
        input_size=(int(input_size[0]), int(input_size[1])),
        color_order=graph.color_order,
        mean=graph.mean,
        std=graph.std,
        **keypoints,
        codec='' if codec is None else codec.variant,
        is_udp=is_udp,
        box_padding=box_padding,
        outputs=outputs,
        normalizes=normalize,
        flip_test=flip_test,
        precision=precision,
        dynamic_size=dynamic_size,
        model=f'{type(model.backbone).__name__} and {type(model.head).__name__}',
    )
    if outputs == 'keypoints':  # heatmaps were there to be compared
        del proto.graph.output[2:]
    onnx.helper.set_model_props(proto, {KEY: metadata.to_json()})
    data = proto.SerializeToString()
    write_atomically(path, data)
    return OnnxExport(
        path,
        metadata,
        next(opset.version for opset in proto.opset_import if not opset.domain),
        len(data),
        heatmap_difference,
        keypoint_difference,
        sum(map(len, samples)),
    )


def import_onnx() -> Any:
    """Import onnx, and see whether what exports and checks with it is there.

    Raises:
        ImportError: One is not installed; with the command that installs it.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401  checks the file
        import onnxscript  # noqa: F401  torch.onnx exports with it
    except ImportError as error:
        raise ImportError(f'exporting needs {error.name}: {INSTALL}', name=error.name) from error
    return onnx


def trace(graph: InferenceGraph, input_size: tuple[int, int], dynamic_size: bool = False) -> Any:
    """Export a graph with a dynamic batch size; return the ONNX model."""
    names = ['keypoints', 'scores', 'heatmaps'] if graph.codec else ['heatmaps']
    example = random_crops(graph, TRACED_SIZE if dynamic_size else input_size, 2)
    sides: dict[int, Any] = {}
    if dynamic_size:
        for axis, name in enumerate(('height', 'width'), 1 if graph.normalize else 2):
            sides[axis] = SIZE_STEP * torch.export.Dim(f'{name}_steps', min=2, max=128)
    return to_onnx(graph, example, 'crops', names, sides)


def to_onnx(
    graph: nn.Module,
    example: Tensor,
    input_name: str,
    output_names: Sequence[str],
    dynamic: Mapping[int, Any] = MappingProxyType({}),
) -> Any:
    """Export a module of one input with a dynamic batch size.

    Args:
        graph: The module, in evaluation mode.
        example: An input, (N, …) with N > 1.
        input_name: Name of the input.
        output_names: Names of the outputs.
        dynamic: Further dynamic dimensions of the input, as :func:`torch.export.export` takes
            them.

    Returns:
        The ONNX model.
    """
    with quiet():
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[input_name],
            output_names=list(output_names),
            dynamic_shapes=({0: torch.export.Dim('batch', min=1, max=4096), **dynamic},),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    # Stack traces of the exporter: they name folders of this machine, and double the file.
    for part in (proto, proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.functions):
        part.ClearField('metadata_props')
        part.ClearField('doc_string')
    return proto


def random_crops(graph: InferenceGraph, input_size: tuple[int, int], count: int) -> Tensor:
    """Random crops as the graph takes them."""
    width, height = input_size
    generator = torch.Generator().manual_seed(count)
    crops = torch.randint(0, 256, (count, height, width, 3), generator=generator)
    return as_input(graph, crops.to(torch.uint8))


def as_input(graph: InferenceGraph, crops: Tensor) -> Tensor:
    """Normalize uint8 crops (N, h, w, 3) where the graph does not."""
    return crops if graph.normalize else graph.normalized(crops)


def batches(graph: InferenceGraph, crops: Sequence[np.ndarray], count: int) -> Iterator[Tensor]:
    """Yield crops (h, w, 3) in batches of ``count``, as the graph takes them."""
    for start in range(0, len(crops), count):
        yield as_input(graph, torch.from_numpy(np.stack(crops[start : start + count])))


def check_precision(precision: str, is_calibrated: bool) -> None:
    """Raise a ValueError unless a precision is known, and calibrated if it has to be."""
    if precision not in PRECISIONS:
        raise ValueError(unknown_name('precision of export_onnx', precision, PRECISIONS))
    if precision == 'int8' and not is_calibrated:
        raise ValueError(
            "precision='int8' without calibration: give crops of images like those of use"
        )
    if precision != 'int8' and is_calibrated:
        raise ValueError(f"calibration is for precision='int8', not {precision!r}: leave it out")


def check_crops(input_size: tuple[int, int], crops: Sequence[np.ndarray]) -> None:
    """Raise a ValueError unless all crops are images (h, w, 3) of the input's size."""
    expected = (*input_size[::-1], 3)
    for crop in crops:
        if crop.shape != expected or crop.dtype != np.uint8:
            raise ValueError(f'a crop is {crop.dtype} {crop.shape}; expected uint8 {expected}')


@torch.inference_mode()
def compare(
    graph: InferenceGraph, proto: Any, samples: Sequence[Tensor]
) -> tuple[float, float | None]:
    """Compare ONNX Runtime with PyTorch.

    Keypoints are compared where both decode the same heatmaps, those of ONNX Runtime: where two
    pixels of a heatmap are equally high, or nearly, another rounding moves a keypoint far.

    Args:
        graph: The module in PyTorch.
        proto: The ONNX model, with heatmaps as its last output.
        samples: Batches of inputs.

    Returns:
        Largest difference of heatmaps, of their range, and of keypoints, in pixels.
    """
    session = open_session_of(proto)
    heatmaps, keypoints = [], [0.0]
    for crops in samples:
        *decoded, found = map(torch.from_numpy, session.run(None, {'crops': crops.numpy()}))
        expected = graph(crops)[-1]
        span = float(expected.max() - expected.min()) or 1.0
        heatmaps.append(float((found - expected).abs().max()) / span)
        if graph.codec is not None:
            same = graph.codec.decode_batch(found)
            keypoints.append(float((decoded[0] - same[0]).abs().max()))
    # max of Python passes over nan
    return float(np.max(heatmaps)), None if graph.codec is None else float(np.max(keypoints))


def check_dynamic_size(graph: InferenceGraph, proto: Any) -> None:
    """Raise a ValueError unless a float32 graph is right at sizes that it was not traced with."""
    width, height = TRACED_SIZE
    sizes = ((width + SIZE_STEP, height - SIZE_STEP), (width - SIZE_STEP, height + SIZE_STEP))
    difference, reason = float('inf'), ''
    try:
        samples = [random_crops(graph, size, 1) for size in sizes]
        difference, _ = compare(graph, proto, samples)
    except Exception as error:  # those of ONNX Runtime have no common class
        reason = f' ({str(error).splitlines()[0][:200]})'
    if not difference <= HEATMAP_TOLERANCES['float32']:
        raise ValueError(
            f'{type(graph.model.backbone).__name__} has layers that are exported for one size of '
            f'input only; leave dynamic_size out{reason}'
        )


def open_session_of(proto: Any) -> Any:
    """Open an ONNX model in memory on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=['CPUExecutionProvider']
    )


def check_differences(
    heatmaps: float, keypoints: float | None, precision: str = 'float32'
) -> None:
    """Raise a RuntimeError if the exported graph computes something else than PyTorch."""
    problems = []
    allowed = HEATMAP_TOLERANCES[precision]
    if not heatmaps <= allowed:  # nan is a difference, too
        problems.append(f'heatmaps by {heatmaps:.2g} of their range ({allowed:g})')
    if keypoints is not None and not keypoints <= KEYPOINT_TOLERANCE:
        problems.append(f'keypoints by {keypoints:.2g} px ({KEYPOINT_TOLERANCE:g})')
    if problems:
        hint = '' if precision == 'float32' else f'; {precision} does not suit this model'
        raise RuntimeError(
            'the exported graph differs from PyTorch by more than is allowed (in brackets): '
            f'{", ".join(problems)}{hint}; no file was written'
        )


@contextlib.contextmanager
def quiet() -> Any:
    """Silence what exporters print and log of their own progress."""
    loggers = [logging.getLogger(name) for name in ('torch.onnx', 'onnxscript', 'torch.export')]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
