"""Time a pose network in every runtime that is installed on this machine."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...environment.cpu import describe_cpu, has_bfloat16, usable_cores
from ...export.graph import InferenceGraph
from ...export.runtime import as_input
from ...utils.tables import table
from ...utils.timing import by_turns
from .export import export_files, rendered_crops
from .exported import ExportedBackend, check_outputs, is_exported
from .model_files import CHECKPOINTS, ModelConfig
from .pose_model import PoseModel
from .runtimes import open_installed

# Takes uint8 crops (N, h, w, 3) in BGR; returns what runs the network on them
Prepare = Callable[[np.ndarray], Callable[[], Any]]


@dataclass(frozen=True)
class RuntimeTiming:
    """Time of a network in one runtime.

    Attributes:
        runtime: Runtime and precision.
        batch_size: Number of crops in a run.
        seconds: Median time of a run.
        lowest: Shortest time.
        highest: Longest time.
        ratio: How many times as fast as the first runtime, by the median of the turns.
    """

    runtime: str
    batch_size: int
    seconds: float
    lowest: float
    highest: float
    ratio: float

    @property
    def images_per_second(self) -> float:
        """Crops in a second."""
        return self.batch_size / self.seconds


@dataclass(frozen=True)
class Benchmark:
    """Timings of a network; as a string, a table with the machine that they are of.

    Attributes:
        model: The network, in words.
        threads: Number of threads of each runtime.
        timings: One for each batch size and runtime.
        missing: Why other runtimes were not timed.
    """

    model: str
    threads: int
    timings: Sequence[RuntimeTiming]
    missing: Sequence[str]

    def __str__(self) -> str:
        columns = ['batch', 'runtime', 'ms', 'lowest to highest', 'images/s', 'times as fast']
        rows = [
            [
                timing.batch_size,
                timing.runtime,
                1e3 * timing.seconds,
                f'{1e3 * timing.lowest:.3g} to {1e3 * timing.highest:.3g}',
                timing.images_per_second,
                timing.ratio,
            ]
            for timing in self.timings
        ]
        lines = [self.model, f'{describe_cpu()}; threads: {self.threads}', '']
        notes = [f'not timed: {reason}' for reason in self.missing]
        return '\n'.join([*lines, table(columns, rows), *notes]).rstrip()


def benchmark_model(
    model: ModelConfig,
    weights: str | None = None,
    *,
    batch_sizes: Sequence[int] = (1, 16),
    threads: int | None = None,
    repeats: int = 5,
    report: Callable[[str], Any] = lambda text: None,
) -> Benchmark:
    """Time a pose network by turns: in PyTorch, ONNX Runtime and OpenVINO.

    All take uint8 crops and return keypoints: normalization, the flip test, if there is one, and
    decoding are part of it. An exported model runs as the file is. A config is timed in PyTorch,
    as :class:`PoseInferencer` runs it, and exported to a temporary file for the other runtimes.

    Args:
        model: Path of an exported model; or a config, as :class:`PoseInferencer` takes it.
        weights: Checkpoint of a config; by default the one in the metafile.
        batch_sizes: Numbers of crops in a run.
        threads: Number of threads; by default all cores that the process may use.
        repeats: Number of turns of each runtime.
        report: Is called with a line about each step.

    Returns:
        A timing for each batch size and runtime that is installed.

    Raises:
        ImportError: No runtime is installed that could run the model.
        OSError: A file does not exist or cannot be read.
        ValueError: The model cannot be exported, or a file is not a model of this package.
    """
    for name, numbers in (('batch_sizes', batch_sizes), ('repeats', [repeats])):
        if not numbers or min(numbers) < 1:
            raise ValueError(f'{name} is {numbers}; expected 1 or more')
    threads = threads or usable_cores()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        prepares: dict[str, Prepare] = {}
        if is_exported(model):
            path = Path(str(model))
            title, size, missing = add_exported(prepares, path, threads, report)
        elif str(model).endswith(CHECKPOINTS):
            raise ValueError(
                f'{model} is a checkpoint; expected an exported model, *.onnx or *.xml, or '
                'a config with the checkpoint as its weights'
            )
        else:
            title, size, missing = add_config(prepares, model, weights, threads, report)
        crops = rendered_crops(size)
        timings: list[RuntimeTiming] = []
        for batch_size in batch_sizes:
            report(f'timing {len(prepares)} runtimes, batch {batch_size}')
            batch = np.stack(list(islice(cycle(crops), batch_size)))
            runs = [prepare(batch) for prepare in prepares.values()]
            rounds = by_turns(runs, repeats, warm_up=2)
            timings += summarize(list(prepares), batch_size, rounds)
    finally:
        torch.set_num_threads(before)
    return Benchmark(title, threads, timings, missing)


def summarize(
    names: Sequence[str], batch_size: int, rounds: Sequence[tuple[float, ...]]
) -> list[RuntimeTiming]:
    """Summarize the seconds of runtimes in rounds of turns, one timing for each runtime."""
    first, *_ = by_runtime = list(zip(*rounds))
    return [
        RuntimeTiming(
            name,
            batch_size,
            statistics.median(seconds),
            min(seconds),
            max(seconds),
            statistics.median(a / b for a, b in zip(first, seconds)),
        )
        for name, seconds in zip(names, by_runtime)
    ]


def add_exported(
    prepares: dict[str, Prepare], path: str | Path, threads: int, report: Callable[[str], Any]
) -> tuple[str, tuple[int, int], list[str]]:
    """Add what runs an exported model in each runtime.

    Returns:
        The model in words, its input's size (w, h), and why runtimes are missing.
    """
    report('opening the model in each runtime')
    opened, missing = open_installed(path, threads)
    metadata = opened[0][1].metadata
    check_outputs(path, metadata)
    for _, backend in opened:
        prepares[backend.name] = partial(prepare_backend, backend)
    flip_test = metadata.flip_test
    title = describe(path, metadata.model, metadata.input_size, metadata.precision, flip_test)
    return title, metadata.input_size, missing


def add_config(
    prepares: dict[str, Prepare],
    model: ModelConfig,
    weights: str | None,
    threads: int,
    report: Callable[[str], Any],
) -> tuple[str, tuple[int, int], list[str]]:
    """Add what runs the model of a config in PyTorch and, exported, in each runtime.

    Returns:
        The same as of :func:`add_exported`.
    """
    report('loading the model')
    pose = PoseModel(model, weights, 'cpu', 'mmpose')
    assert pose.model is not None
    missing = []
    graph = InferenceGraph(
        pose.model,
        pose.input_size,
        outputs='keypoints',
        normalize=True,
        flip_test=bool((pose.model.test_cfg or {}).get('flip_test')),
        flip_indices=list(pose.dataset_meta.get('flip_indices', ())),
    ).eval()
    graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    prepares['PyTorch float32'] = partial(prepare_torch, graph, False)
    if has_bfloat16():
        prepares['PyTorch bfloat16'] = partial(prepare_torch, graph, True)
    else:
        missing.append('PyTorch bfloat16 needs a processor that computes in it')
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'pose.onnx')
        try:
            report('exporting the model')
            export_files(model, weights, file)
            missing += add_exported(prepares, file, threads, report)[2]
        except (ImportError, RuntimeError) as error:
            missing.append(str(error))
    name = model if isinstance(model, str | Path) else 'the given config'
    parts = f'{type(pose.model.backbone).__name__} and {type(pose.model.head).__name__}'
    title = describe(name, parts, pose.input_size, 'float32', graph.flip_test)
    return title, pose.input_size, missing


def describe(
    name: str | Path, parts: str, input_size: tuple[int, int], precision: str, flip_test: bool
) -> str:
    """Describe a network in a line."""
    width, height = input_size
    flips = 'with' if flip_test else 'without'
    return f'{name}: {parts}, {width}x{height}, {precision}, {flips} flip test'


def prepare_backend(backend: ExportedBackend, crops: np.ndarray) -> Callable[[], Any]:
    """Return what runs an exported model on crops."""
    return partial(backend.run, as_input(crops, vars(backend.metadata)))


def prepare_torch(graph: InferenceGraph, bfloat16: bool, crops: np.ndarray) -> Callable[[], Any]:
    """Return what runs a graph on crops in PyTorch."""
    return partial(run_torch, graph, bfloat16, torch.from_numpy(crops))


@torch.inference_mode()
def run_torch(graph: InferenceGraph, bfloat16: bool, crops: Tensor) -> tuple[Tensor, Tensor]:
    """Compute keypoints and scores of crops; with ``bfloat16``, heatmaps in autocast."""
    assert graph.codec is not None
    images = graph.normalized(crops)
    with torch.autocast('cpu', torch.bfloat16, enabled=bfloat16):
        heatmaps = graph.heatmaps(images)
    return graph.codec.decode_batch(heatmaps.float())
