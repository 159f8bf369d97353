"""Every runtime that is installed for an exported model, and the fastest that is exact enough."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ...export.openvino_file import open_core
from ...export.runtime import as_input
from ...utils.timing import by_turns
from .backends import PoseBackend
from .export import rendered_crops
from .exported import (
    AUTO,
    ExportedBackend,
    check_outputs,
    config_of,
    open_exported,
    open_onnxruntime,
    open_openvino,
)

# Largest difference of keypoints from the first runtime's, in pixels of the crop
KEYPOINT_TOLERANCE = 0.05
# What bfloat16 cannot tell apart, with its 8 bits: pixels of a heatmap that differ by less, of its
# range, are equally high, and which of them decides where a keypoint is, is left to rounding.
TIE = 2.0**-8
# The first runtime is kept unless another is faster by more than timings differ.
GAIN = 1.1
TIMING_SECONDS = 1.0

Opener = Callable[[str | Path, str | None, int], ExportedBackend]


def open_openvino_bfloat16(
    path: str | Path, device: str | None, threads: int = 0
) -> ExportedBackend:
    """Open a model with OpenVINO in bfloat16.

    Raises:
        ImportError: OpenVINO is not installed.
        RuntimeError: The processor does not compute in bfloat16.
    """
    core = open_core("runtime='openvino'")
    if 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        raise RuntimeError('OpenVINO bfloat16 needs a processor that computes in it')
    return open_openvino(path, device, threads, 'bfloat16')


# The first is what the others are compared with.
OPENERS: tuple[Opener, ...] = (open_onnxruntime, open_openvino, open_openvino_bfloat16)


@dataclass(frozen=True)
class Trial:
    """A runtime that was tried on a few crops.

    Attributes:
        opener: Opens the model in it.
        backend: The model, opened.
        seconds: Shortest time of one run.
        difference: Largest difference of keypoints from the first runtime's, in pixels of the
            crop.
    """

    opener: Opener
    backend: ExportedBackend
    seconds: float
    difference: float

    @property
    def is_exact(self) -> bool:
        """Whether keypoints are those of the first runtime."""
        return self.difference <= KEYPOINT_TOLERANCE


def open_model(
    path: str | Path, device: str | None, runtime: str | None = None, precision: str = 'float32'
) -> tuple[Config, PoseBackend]:
    """Open an exported model, as :func:`open_exported`, or in the fastest runtime.

    Args:
        path: File that ``hrnet-plugin export`` has written.
        device: See :func:`open_exported`.
        runtime: Name of a runtime, or ``'auto'``; by default OpenVINO for ``*.xml``, else ONNX
            Runtime.
        precision: See :func:`open_exported`; ``'auto'`` chooses it, too.
    """
    if runtime != AUTO:
        return open_exported(path, device, runtime, precision)
    backend = open_fastest(path, device)
    return config_of(backend.metadata), backend


_CHOSEN: dict[tuple[object, ...], Opener] = {}


def open_fastest(path: str | Path, device: str | None = 'cpu') -> ExportedBackend:
    """Open an exported model in the fastest runtime that is exact enough here.

    Each runtime that is installed is timed on a few rendered crops, for about a second in all.
    One counts if its keypoints are within 0.05 pixels of the crop of ONNX Runtime's (``*.xml``: of
    OpenVINO's in float32), except where two pixels of a heatmap are equally high. What was chosen,
    and why, is printed to stderr. It holds for this file in this process: a second call opens the
    same runtime at once.

    Args:
        path: File that ``hrnet-plugin export`` has written.
        device: See :func:`open_exported`; on a GPU ``*.onnx`` always runs on ONNX Runtime.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: No runtime is installed.
        ValueError: The file is not a pose model of this package, or returns heatmaps.
    """
    if device != 'cpu' and not is_openvino(path):  # where OpenVINO does not run
        backend = open_onnxruntime(path, device)
        check_outputs(path, backend.metadata)
        if device is not None or not backend.is_on_cpu:
            return backend
    file = Path(path).resolve()
    state = file.stat() if file.is_file() else None
    key = (file, state and state.st_mtime_ns, state and state.st_size)
    if key in _CHOSEN:
        return _CHOSEN[key](path, device, 0)
    opened, missing = open_installed(path)
    check_outputs(path, opened[0][1].metadata)
    crops = np.stack(rendered_crops(opened[0][1].metadata.input_size))
    trials = try_each(path, opened, crops)
    best = choose(trials)
    print(explain(path, best, trials, missing, len(crops)), file=sys.stderr)
    _CHOSEN[key] = best.opener
    return best.backend


def open_installed(
    path: str | Path, threads: int = 0
) -> tuple[list[tuple[Opener, ExportedBackend]], list[str]]:
    """Open an exported model on the CPU in each runtime that is installed.

    Args:
        path: The file.
        threads: Number of threads; 0 leaves it to each runtime.

    Returns:
        What opens the model and the model opened, of each; and why the others are missing.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: No runtime is installed.
        ValueError: The file is not a pose model of this package.
    """
    opened: list[tuple[Opener, ExportedBackend]] = []
    errors: list[Exception] = []
    for opener in OPENERS:
        if opener is open_onnxruntime and is_openvino(path):
            continue
        try:
            opened.append((opener, opener(path, 'cpu', threads)))
        except (ImportError, RuntimeError) as error:
            errors.append(error)
    if not opened:
        raise errors[0]
    # OpenVINO is missing once, not once for each precision.
    return opened, list(dict.fromkeys(str(error).splitlines()[0] for error in errors))


def is_openvino(path: str | Path) -> bool:
    """Whether only OpenVINO reads this file."""
    return Path(path).suffix.lower() == '.xml'


def try_each(
    path: str | Path, opened: Sequence[tuple[Opener, ExportedBackend]], crops: np.ndarray
) -> list[Trial]:
    """Time runtimes by turns, and compare their keypoints.

    Args:
        path: The file.
        opened: Runtimes, as :func:`open_installed` returns them.
        crops: (N, h, w, 3), uint8, BGR.
    """
    backends = [backend for _, backend in opened]
    inputs = as_input(crops, vars(backends[0].metadata))
    # These are the runs for warm-up, too.
    keypoints = [backend.run(inputs)[0] for backend in backends]
    distances = [np.abs(found - keypoints[0]).max(axis=-1) for found in keypoints]
    if any(distance.max() > KEYPOINT_TOLERANCE for distance in distances):
        ties = find_ties(path, inputs, backends[0].metadata.codec)
        distances = [np.where(ties, 0.0, distance) for distance in distances]
    runs = [partial(backend.run, inputs) for backend in backends]
    rounds = by_turns(runs, repeats=10, warm_up=0, at_most=TIMING_SECONDS)
    return [
        Trial(opener, backend, min(seconds), float(distance.max()))
        for (opener, backend), seconds, distance in zip(opened, zip(*rounds), distances)
    ]


def choose(trials: Sequence[Trial]) -> Trial:
    """Choose the fastest runtime that is exact, or the first where it is hardly slower."""
    first = trials[0]
    fastest = min((t for t in trials if t.is_exact), key=lambda t: t.seconds, default=first)
    return fastest if first.seconds > GAIN * fastest.seconds else first


def explain(
    path: str | Path, best: Trial, trials: Sequence[Trial], missing: Sequence[str], count: int
) -> str:
    """Say in a line which runtime was chosen for ``count`` crops, and why."""
    others = []
    for trial in trials:
        if trial is not best:
            text = f'{trial.backend.name} {1e3 * trial.seconds:.3g} ms'
            if not trial.is_exact:
                text += f', and moves keypoints by {trial.difference:.2g} px'
            others.append(text)
    notes = '; '.join([*others, *missing])
    chosen = f'{best.backend.name}, {1e3 * best.seconds:.3g} ms for {count} crops'
    return f'{path} runs on {chosen}' + (f' ({notes})' if notes else '')


def find_ties(path: str | Path, inputs: np.ndarray, codec: str) -> np.ndarray:
    """Find keypoints that rounding decides, in the heatmaps of an exported model.

    Args:
        path: The file. Its graph computes heatmaps, which OpenVINO can read although the model
            does not return them.
        inputs: N crops as the graph takes them.
        codec: Variant of the codec.

    Returns:
        Whether each is one (N, K); all False if the heatmaps cannot be read.
    """
    try:
        core = open_core('finding ties')
        model = core.read_model(str(path))
        model.add_outputs('heatmaps')
        compiled = core.compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    except (ImportError, RuntimeError):
        return np.zeros((1, 1), bool)
    return are_ties(compiled(inputs)['heatmaps'], codec)


def are_ties(heatmaps: np.ndarray, codec: str) -> np.ndarray:
    """Return which keypoints are decided by pixels that are equally high but for rounding.

    These are the two highest pixels; with ``'msra'`` also the neighbours of the highest one, as
    the keypoint is moved towards the higher of them.

    Args:
        heatmaps: (N, K, H, W).
        codec: Variant of the codec.

    Returns:
        (N, K).
    """
    close = TIE * np.ptp(heatmaps)
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    second, first = np.moveaxis(np.partition(flat, -2, axis=-1)[..., -2:], -1, 0)
    ties = first - second <= close
    if codec == 'msra':
        height, width = heatmaps.shape[2:]
        y, x = np.divmod(flat.argmax(axis=-1), width)
        for dx, dy in ((1, 0), (0, 1)):
            steps = (
                np.clip(y + sign * dy, 0, height - 1) * width
                + np.clip(x + sign * dx, 0, width - 1)
                for sign in (-1, 1)
            )
            before, after = (np.take_along_axis(flat, s[..., None], -1)[..., 0] for s in steps)
            ties |= np.abs(after - before) <= close
    return ties
