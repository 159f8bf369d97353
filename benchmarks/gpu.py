"""Speed on a GPU: ours against stock MMPose, beside the most that the GPU can do.

One call measures everything, within ``--minutes``, and writes gpu.json, after each measurement,
and gpu.md. What fails or no longer fits is written down as such. Runs of all forms take turns in
one process; each ratio is the median of the turns' ratios. Without CUDA, or with ``--small``,
models are tiny and numbers mean nothing: it only shows that the script works.
"""

import argparse
import gc
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from guarded import Report
from networks import DTYPES, MODELS, SMALL_MODELS, Form, Model, use_defaults, use_precision
from timing import Ratio, table
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

Run = Callable[[], Any]
NEEDS = {
    'mmengine': 'networks and training',
    'mmcv': 'networks and training (mmcv-lite is enough)',
    'mmpose': 'all of stock, training and codecs; of ours, only backbones are measured',
    'mmdet': 'video',
    'cv2': 'crops and video',
}
STOCK = [Form('stock', precision) for precision in ('fp32', 'tf32', 'fp16', 'bf16')]
EAGER = [
    *STOCK,
    Form('ours', 'fp32'),
    Form('ours', 'tf32'),
    Form('ours', 'tf32', channels_last=True),
    Form('ours', 'fp16'),
    Form('ours', 'fp16', channels_last=True),
    Form('ours', 'bf16'),
    Form('ours', 'bf16', channels_last=True),
    Form('ours', 'bf16', channels_last=True, tunes=True),
]
REPLAYED = [
    Form('ours', 'tf32', channels_last=True, replays=True),
    Form('ours', 'fp16', channels_last=True, replays=True),
    Form('ours', 'bf16', channels_last=True, replays=True),
    Form('ours', 'bf16', channels_last=True, tunes=True, replays=True),
]
COMPILED = [
    Form('ours', 'bf16', channels_last=True, compiles=True),
    Form('stock', 'bf16', compiles=True),
]
BASELINE = STOCK[0]
K = 17
OUT = Path('work_dirs/gpu')


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    batches: tuple[int, int] = (1, 64)
    turns: int = 5
    turn_seconds: float = 0.1
    matrix: int = 8192
    copied: int = 2**28  # floats
    instances: int = 64
    frame: tuple[int, int] = (1080, 1920)
    boxes: tuple[int, ...] = (1, 8, 64)
    models: tuple[Model, ...] = MODELS
    trained: tuple[tuple[Model, int], ...] = tuple(zip(MODELS[:3], (64, 64, 32)))
    compiled: tuple[Model, ...] = MODELS
    compiled_batches: tuple[int, ...] = (1, 64)
    frames: int = 20


FULL = Scale()
SMALL = Scale(
    batches=(1, 2),
    turns=1,
    turn_seconds=0,
    matrix=128,
    copied=2**16,
    instances=2,
    frame=(120, 160),
    boxes=(1, 3),
    models=SMALL_MODELS,
    trained=((SMALL_MODELS[0], 2),),
    compiled=SMALL_MODELS[:1],
    compiled_batches=(2,),
    frames=1,
)


class Bench:
    """A device, how much is measured there, and the report.

    Attributes:
        ceilings: Matrix products in TFLOP/s by precision, and ``'copy'`` in GB/s, once measured.
    """

    def __init__(self, device: torch.device, scale: Scale, report: Report) -> None:
        self.device, self.scale, self.report = device, scale, report
        self.ceilings: dict[str, float] = {}

    def seconds(self, run: Run, count: int, alone: bool = False) -> float:
        """Time one of ``count`` runs.

        Args:
            run: Starts work on the device.
            count: How many runs are timed together.
            alone: Whether each run waits for the one before, as where latency counts.
        """
        self.wait()
        if self.device.type != 'cuda':
            begin = time.perf_counter()
            for _ in range(count):
                run()
            return (time.perf_counter() - begin) / count
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        for _ in range(count):
            run()
            if alone:
                torch.cuda.synchronize()
        last.record()
        torch.cuda.synchronize()
        return first.elapsed_time(last) / 1e3 / count

    def wait(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def warmed_up(self, run: Run, alone: bool = False) -> int:
        """Warm up, and return how many runs fill a turn; where speed means nothing, do neither."""
        if not self.scale.turn_seconds:
            return 1
        self.seconds(run, 3)
        return max(1, min(1000, math.ceil(self.scale.turn_seconds / self.seconds(run, 3, alone))))

    def by_turns(
        self, runs: Mapping[str, Run], alone: bool = False, counts: Mapping[str, int] | None = None
    ) -> dict[str, list[float]]:
        """Time functions by turns, so that a change of the clock affects all alike.

        Args:
            runs: Functions by name.
            alone: See ``seconds``.
            counts: How many runs of each make a turn; they are warm already, if it is given.

        Returns:
            Seconds of a run, one for each turn, by name.
        """
        counts = counts or {name: self.warmed_up(run, alone) for name, run in runs.items()}
        turns = [
            {name: self.seconds(run, counts[name], alone) for name, run in runs.items()}
            for _ in range(self.scale.turns)
        ]
        return {name: [turn[name] for turn in turns] for name in runs}

    def once(self, run: Run) -> float:
        """Time a function without anything to compare it with: the median of turns."""
        return statistics.median(self.by_turns({'': run})[''])

    def share(self, value: float, ceiling: str) -> dict[str, float]:
        """Per cent of a ceiling, if it has been measured."""
        if ceiling not in self.ceilings:
            return {}
        return {'%_of_ceiling': 100 * value / self.ceilings[ceiling]}

    def copy_floor(self, size: int) -> dict[str, float]:
        """Milliseconds in which a copy moves so many bytes, if that has been measured."""
        return {'floor_ms': size / self.ceilings['copy'] / 1e6} if 'copy' in self.ceilings else {}


def ceilings(bench: Bench) -> None:
    """The most that the device does: products of large matrices, and copies."""
    n, section = bench.scale.matrix, 'ceilings'
    for precision, dtype in DTYPES.items():

        def multiply(precision: str = precision, dtype: torch.dtype = dtype) -> None:
            use_precision(precision == 'tf32')
            a, b = (torch.randn(n, n, device=bench.device).to(dtype) for _ in range(2))
            speed = 2 * n**3 / bench.once(lambda: a @ b) / 1e12
            bench.ceilings[precision] = speed
            bench.report.add(section, f'matrix product, {precision}', TFLOP_per_s=speed)

        bench.report.attempt(section, f'matrix product, {precision}', multiply)

    def copy() -> None:
        source = torch.rand(bench.scale.copied, device=bench.device)
        target = torch.empty_like(source)
        speed = 2 * source.nbytes / bench.once(lambda: target.copy_(source)) / 1e9
        bench.ceilings['copy'] = speed
        bench.report.add(section, 'copy, read and written', GB_per_s=speed)

    bench.report.attempt(section, 'copy, read and written', copy)


def networks(bench: Bench) -> None:
    """Latency at batch 1 and throughput of a large batch, of every model in every form."""
    for model in bench.scale.models:
        built = bench.report.attempt(model.name, 'building', partial(model.networks, bench.device))
        if built:
            compare_batches(bench, model, built, bench.scale.batches, [*EAGER, *REPLAYED])
        del built
        free(bench)


def compiled(bench: Bench) -> None:
    """The same with torch.compile: last, as each takes a minute."""
    for forms in ([BASELINE, COMPILED[0]], [BASELINE, COMPILED[1]]):
        for model in bench.scale.compiled:
            name = f'{model.name}, torch.compile'
            built = bench.report.attempt(name, 'building', partial(model.networks, bench.device))
            if built:
                compare_batches(bench, model, built, bench.scale.compiled_batches, forms)
            del built
            torch._dynamo.reset()
            free(bench)


def compare_batches(
    bench: Bench,
    model: Model,
    networks: Mapping[str, nn.Module],
    batches: Sequence[int],
    forms: list[Form],
) -> None:
    for batch in batches:
        compare_forms(bench, model, networks, batch, forms)
        free(bench)


@torch.no_grad()
def compare_forms(
    bench: Bench, model: Model, networks: Mapping[str, nn.Module], batch: int, forms: list[Form]
) -> None:
    """Compare forms of a model by turns, with stock in fp32 as the baseline."""
    report, is_compiled = bench.report, any(form.compiles for form in forms)
    section = f'{model.name}, batch {batch}' + ', torch.compile' * is_compiled
    width, height = model.input_size
    images = torch.rand(batch, 3, height, width, device=bench.device)
    runs: dict[str, Run] = {}
    counts: dict[str, int] = {}
    outputs: dict[str, Tensor] = {}

    def prepare(form: Form) -> None:
        run = form.prepare(networks[form.side], images)
        output = run()
        if not output.isfinite().all():
            raise ValueError('the output is not finite')
        outputs[str(form)] = output.float().clone()
        counts[str(form)] = bench.warmed_up(run, alone=batch == 1)
        runs[str(form)] = run

    for form in forms:
        if form.side not in networks:
            report.add(section, str(form), skipped='needs mmpose')
        elif form.replays and bench.device.type != 'cuda':
            report.add(section, str(form), skipped='needs CUDA')
        else:
            report.attempt(section, str(form), partial(prepare, form))
    count = partial(count_flops, networks['ours'], images[:1])
    flops = report.attempt(section, 'operations', count)
    times = report.attempt(section, 'turns', partial(bench.by_turns, runs, batch == 1, counts))
    for form in forms:
        name = str(form)
        if not times or name not in times or (is_compiled and form == BASELINE):
            continue
        seconds = statistics.median(times[name])
        values = dict(ms=1e3 * seconds, images_per_s=batch / seconds)
        if flops:
            values['TFLOP_per_s'] = batch * flops / seconds / 1e12
            values |= bench.share(values['TFLOP_per_s'], form.precision)
        expected = next(iter(outputs.values()))  # of the baseline, where there is one
        values['difference_%'] = 100 * difference(outputs[name], expected)
        report.add(section, name, **values, **ratios(times, name, str(BASELINE)))


def ratios(times: Mapping[str, list[float]], name: str, baseline: str) -> dict[str, float]:
    """How many times as fast one is as the baseline, with the lowest and highest of the turns."""
    if baseline not in times or name == baseline:
        return {}
    ratio = Ratio.of(list(zip(times[name], times[baseline])))
    return dict(times_as_fast=ratio.ratio, lowest=ratio.lowest, highest=ratio.highest)


def difference(output: Tensor, expected: Tensor) -> float:
    """Largest difference of an output, as a part of the range of what is expected."""
    return float((output - expected).abs().max() / (expected.max() - expected.min()))


def count_flops(network: nn.Module, images: Tensor) -> int:
    """Count the operations of convolutions and matrix products: two per multiply-accumulate."""
    # Of fused attention, it counts some kernels only.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(images)
    return counter.get_total_flops()


def codecs(bench: Bench) -> None:
    """Encoding and decoding: a batch on the device, against stock's NumPy on the host."""
    for variant in ('msra', 'dark', 'udp'):
        bench.report.attempt('codec', variant, partial(compare_codec, bench, variant))


def compare_codec(bench: Bench, variant: str) -> None:
    from codec import SIZES, STOCK, make_heatmaps, make_instances

    from hrnet_plugin.codecs import GaussianHeatmap

    ours, stock = GaussianHeatmap(**SIZES, variant=variant), STOCK[variant]
    count = bench.scale.instances
    keypoints, visible = make_instances(count)
    maps = make_heatmaps(ours, keypoints)
    points, seen, heatmaps = (
        torch.from_numpy(array).to(bench.device) for array in (keypoints, visible, maps)
    )

    def stock_encode() -> Tensor:
        encoded = [stock.encode(k[None], v[None])['heatmaps'] for k, v in zip(keypoints, visible)]
        return torch.from_numpy(np.stack(encoded)).to(bench.device)

    def stock_decode() -> None:
        for each in heatmaps.cpu().numpy():
            stock.decode(each)

    tasks: dict[str, dict[str, Run]] = dict(
        encode=dict(ours=lambda: ours.encode_batch(points, seen), stock=stock_encode),
        decode=dict(
            ours=lambda: ours.batch_decode(heatmaps),
            on_device=lambda: ours.decode_batch(heatmaps),
            stock=stock_decode,
        ),
    )
    for task, runs in tasks.items():
        name = f'{task} {count} instances, {variant}'
        floor = bench.copy_floor(heatmaps.nbytes)
        add_pair(bench, 'codec', name, bench.by_turns(runs), **floor)


def add_pair(
    bench: Bench, section: str, name: str, times: Mapping[str, list[float]], **more: float
) -> None:
    """Add an entry about ours, ours without transfers, and stock."""
    values = {f'{side}_ms': 1e3 * statistics.median(each) for side, each in times.items()}
    bench.report.add(section, name, **values, **ratios(times, 'ours', 'stock'), **more)


def crops(bench: Bench) -> None:
    """Cropping the boxes of a frame: as one batch on the device, against OpenCV and an upload."""
    for count in bench.scale.boxes:
        name = f'{count} of a frame'
        bench.report.attempt('crops', name, partial(compare_crops, bench, name, count))


def compare_crops(bench: Bench, name: str, count: int) -> None:
    import cv2

    from hrnet_plugin.functional.crops import crop_batch

    height, width = bench.scale.frame
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    frame = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    input_size = (192, 256)
    centers = rng.uniform(0, (width, height), (count, 2)).astype(np.float32)
    sizes = rng.uniform(0.2, 0.9, (count, 1)) * height * np.array([0.75, 1])
    boxes = torch.from_numpy(np.stack([centers, sizes]).astype(np.float32))
    uploaded = torch.from_numpy(frame).to(bench.device)

    def our_crops(image: Tensor) -> Tensor:
        on_device = boxes.to(bench.device)
        return crop_batch(image.permute(2, 0, 1), on_device[0], on_device[1], input_size)

    def stock_crops() -> Tensor:
        cut = []
        for center, size in zip(centers, sizes):
            matrix = np.diag(input_size / size) @ np.c_[np.eye(2), size / 2 - center]
            cut.append(cv2.warpAffine(frame, matrix, input_size, flags=cv2.INTER_LINEAR))
        return torch.from_numpy(np.stack(cut)).to(bench.device).permute(0, 3, 1, 2)

    apart = (our_crops(uploaded).float() - stock_crops().float()).abs()
    runs = dict(
        ours=lambda: our_crops(torch.from_numpy(frame).to(bench.device)),
        on_device=lambda: our_crops(uploaded),
        stock=stock_crops,
    )
    add_pair(
        bench,
        'crops',
        name,
        bench.by_turns(runs, alone=True),
        mean_difference=float(apart.mean()),
        largest_difference=float(apart.max()),
    )


def video(bench: Bench) -> None:
    """From frames and boxes to keypoints: our PoseInferencer against stock's inferencer."""
    name = f'{bench.scale.frames} frames of 4 boxes, Lite-HRNet-18'

    def compare() -> None:
        from inference import make_runs

        use_defaults()
        ours, stock = make_runs(
            device=str(bench.device), turns=bench.scale.turns, frames=bench.scale.frames
        )
        add_pair(bench, 'video', name, bench.by_turns(dict(ours=ours['PyTorch'], stock=stock)))

    bench.report.attempt('video', name, compare)


@dataclass(frozen=True)
class TrainingForm:
    """A way to train: which side, in which precision of autocast, and how convolutions run."""

    side: str
    autocast: torch.dtype | None = None
    channels_last: bool = False
    tunes: bool = False

    def __str__(self) -> str:
        precision = {None: 'as it comes', torch.float16: 'fp16', torch.bfloat16: 'bf16'}
        parts = [f'{self.side} {precision[self.autocast]}']
        parts += ['channels last'] * self.channels_last + ['cuDNN tuned'] * self.tunes
        return ', '.join(parts)


TRAINING = [
    TrainingForm('stock'),
    TrainingForm('stock', torch.float16),
    TrainingForm('ours'),
    TrainingForm('ours', torch.float16),
    TrainingForm('ours', torch.bfloat16),
    TrainingForm('ours', torch.bfloat16, channels_last=True),
    TrainingForm('ours', torch.bfloat16, channels_last=True, tunes=True),
]


def training(bench: Bench) -> None:
    """Training steps of a batch that is on the device: loss, accuracy, gradients, optimizer."""
    for model, batch in bench.scale.trained:
        compare_training(bench, model, batch)
        free(bench)


def compare_training(bench: Bench, model: Model, batch: int) -> None:
    """Compare forms of training a model by turns, with stock's as it comes as the baseline."""
    section = f'training, {model.name}, batch {batch}'
    runs: dict[str, Run] = {}
    counts: dict[str, int] = {}
    memory: dict[str, float] = {}

    def prepare(form: TrainingForm) -> None:
        name, run = str(form), training_step(model, batch, form, bench.device)
        if bench.device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            run()
            memory[name] = (torch.cuda.max_memory_allocated() - before) / 1e9
        counts[name] = bench.warmed_up(run)
        runs[name] = run

    for form in TRAINING:
        bench.report.attempt(section, str(form), partial(prepare, form))
    times = bench.report.attempt(section, 'turns', partial(bench.by_turns, runs, False, counts))
    for name, each in (times or {}).items():
        seconds = statistics.median(each)
        values = dict(ms=1e3 * seconds, samples_per_s=batch / seconds)
        if name in memory:
            values['GB_of_a_step'] = memory[name]
        values |= ratios(times or {}, name, str(TRAINING[0]))
        bench.report.add(section, name, **values)


def training_step(model: Model, batch: int, form: TrainingForm, device: torch.device) -> Run:
    """Return a function that trains a model for a step, as the runner does."""
    from mmengine.optim import build_optim_wrapper

    torch.manual_seed(0)
    cfg = model.read_config(form.side)
    layout = torch.channels_last if form.channels_last else torch.contiguous_format
    estimator = model.build(form.side).to(device).to(memory_format=layout).train()
    optimizer = build_optim_wrapper(estimator, cfg.optim_wrapper).optimizer
    scaler = torch.amp.GradScaler(device.type, enabled=form.autocast == torch.float16)
    data = make_batch(model, batch, form.side, device)
    autocast = partial(
        torch.autocast, device.type, form.autocast, enabled=form.autocast is not None
    )

    def step() -> None:
        use_defaults()
        torch.backends.cudnn.benchmark = form.tunes
        with autocast():
            losses = estimator(**estimator.data_preprocessor(data, training=True), mode='loss')
            loss, _ = estimator.parse_losses(losses)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def make_batch(model: Model, batch: int, side: str, device: torch.device) -> dict[str, Any]:
    """Make a batch as a loader does: samples of stock have heatmaps, ours have keypoints."""
    from mmengine.structures import InstanceData, PixelData
    from mmpose.structures import PoseDataSample

    from hrnet_plugin.codecs import GaussianHeatmap

    width, height = model.input_size
    codec = GaussianHeatmap(model.input_size, (width // 4, height // 4), sigma=2)
    keypoints = torch.rand(batch, K, 2, device=device) * torch.tensor([width, height]).to(device)
    weights = torch.ones(batch, K, device=device)
    heatmaps, _ = codec.encode_batch(keypoints, weights)
    samples = []
    for i in range(batch):
        sample, one = PoseDataSample(), slice(i, i + 1)
        sample.gt_instance_labels = InstanceData(keypoint_weights=weights[one])
        if side == 'ours':
            labels = torch.cat([keypoints[one], weights[one, :, None]], dim=-1)
            sample.gt_instance_labels.keypoint_labels = labels
        else:
            sample.gt_fields = PixelData(heatmaps=heatmaps[i])
        samples.append(sample)
    images = torch.randint(256, (batch, 3, height, width), dtype=torch.uint8, device=device)
    return dict(inputs=list(images), data_samples=samples)


def free(bench: Bench) -> None:
    """Return the memory of what is no longer used, so that nothing depends on what ran before."""
    gc.collect()
    if bench.device.type == 'cuda':
        torch.cuda.empty_cache()


# How many times as fast as stock something is to be: section, part of its entries' names, times
GOALS = {
    'HRNet-W32 in bf16 at batch 64, stock in fp32': ('HRNet-W32, batch 64', 'ours bf16', 5.0),
    'HRNet-W32 as a CUDA graph, stock in fp32': ('HRNet-W32, batch 1', 'CUDA graph', 6.0),
    'training HRNet-W32, both as they come': (
        'training, HRNet-W32, batch 64',
        'ours as it comes',
        1.5,
    ),
    'training HRNet-W32 in bf16, stock as it comes': (
        'training, HRNet-W32, batch 64',
        'ours bf16',
        1.5,
    ),
    'video, Lite-HRNet-18': ('video', 'Lite-HRNet-18', 5.0),
}


def goals(report: Report) -> str:
    """Format the goals and, of what has been measured for each, the best."""
    rows = []
    for name, (section, part, goal) in GOALS.items():
        entries = report.content['sections'].get(section, [])
        ratios = [
            e['times_as_fast'] for e in entries if part in e['name'] and 'times_as_fast' in e
        ]
        rows.append([name, goal, max(ratios, default='not measured')])
    return table(['times as fast as stock', 'goal', 'measured'], rows)


# What is short comes first.
SECTIONS = dict(
    ceilings=ceilings,
    codecs=codecs,
    crops=crops,
    video=video,
    training=training,
    networks=networks,
    compiled=compiled,
)


def facts(device: torch.device, is_small: bool) -> dict[str, Any]:
    """Say where it runs, and what is missing there."""
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else platform.machine()
    return dict(
        device=f'{device.type}: {name}',
        cores=os.cpu_count(),
        python=platform.python_version(),
        torch=version('torch'),
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        small=is_small,
        missing={name: use for name, use in NEEDS.items() if not find_spec(name)},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('sections', nargs='*', help=f'only these: {", ".join(SECTIONS)}')
    parser.add_argument('--small', action='store_true', help='tiny models, one run of each')
    parser.add_argument('--minutes', type=float, default=9, help='time for all; 9 by default')
    parser.add_argument('--out', type=Path, default=OUT, help=f'folder of both files; {OUT}')
    args = parser.parse_args()
    if wrong := set(args.sections).difference(SECTIONS):
        parser.error(f'no section {", ".join(wrong)}; there are {", ".join(SECTIONS)}')
    has_gpu = torch.cuda.is_available()
    is_small = args.small or not has_gpu
    device = torch.device('cuda' if has_gpu else 'cpu')
    args.out.mkdir(parents=True, exist_ok=True)
    report = Report(args.out / 'gpu.json', args.minutes, facts(device, is_small))
    for line in header(report):
        print(line, file=sys.stderr)
    bench = Bench(device, SMALL if is_small else FULL, report)
    for name in args.sections or SECTIONS:
        SECTIONS[name](bench)
    parts = ['## GPU', '\n'.join(f'- {line}' for line in header(report)), report.tables()]
    if not is_small:
        parts.insert(2, goals(report))
    (args.out / 'gpu.md').write_text('\n\n'.join(parts))
    print(f'written: {report.path} and {args.out / "gpu.md"}', file=sys.stderr)


def header(report: Report) -> list[str]:
    """Say what the numbers are of."""
    known = report.content
    lines = [
        f'{known["device"]}, {known["cores"]} cores of the host',
        f'Python {known["python"]}, torch {known["torch"]}, CUDA {known["cuda"]}, '
        f'cuDNN {known["cudnn"]}',
    ]
    lines += [f'missing: {name}, for {use}' for name, use in known['missing'].items()]
    if known['small']:
        lines.append('small models and inputs, one run of each: the numbers mean nothing')
    if 'seconds' in known:
        lines.append(f'measured in {known["seconds"]:.0f} s')
    return lines


if __name__ == '__main__':
    main()
