"""Networks in every runtime: 256x192, normalized images to heatmaps, no flip test.

``--compile`` adds torch.compile, which takes minutes to compile them.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import MODELS, SMALL_MODELS, Model
from timing import THREADS, compare, table, use_threads
from torch import Tensor, nn

from hrnet_plugin.apis.inference.export import rendered_crops
from hrnet_plugin.apis.inference.pose_model import PoseModel
from hrnet_plugin.apis.inference.runtimes import open_installed
from hrnet_plugin.environment.cpu import describe_cpu, has_bfloat16
from hrnet_plugin.export import export_onnx

SHOWN = {model.name: model for model in (*MODELS[:3], *SMALL_MODELS)}
EAGER = 'stock eager'
COLUMNS = ['batch', '', 'ms', 'stock eager (ms)', 'times as fast', 'lowest to highest', 'differs']
Run = Callable[[Tensor], Any]  # images (N, 3, h, w) to heatmaps


@torch.inference_mode()
def heatmaps(model: Any, images: Tensor) -> Tensor:
    return model.head.forward(model.extract_feat(images))


def eager(model: nn.Module, bfloat16: bool = False, channels_last: bool = True) -> Run:
    def run(images: Tensor) -> Tensor:
        if channels_last:
            images = images.to(memory_format=torch.channels_last)
        with torch.autocast('cpu', torch.bfloat16, enabled=bfloat16):
            return heatmaps(model, images).float()

    return run


def compiled(model: nn.Module, channels_last: bool = True) -> Run:
    return torch.compile(eager(model, channels_last=channels_last), dynamic=False)


def make_runs(model: Model, with_compile: bool) -> tuple[dict[str, Run], list[str]]:
    """Build a network with random weights in each runtime, stock's first if there is one.

    Returns:
        What runs it, by name, and why others are missing.
    """
    torch.manual_seed(0)
    first = model.build('stock' if model.has_stock else 'ours').eval()
    nn.init.normal_(first.head.final_layer.weight, std=0.1)
    runs = {}
    if model.has_stock:
        last: Any = deepcopy(first)
        last.to(memory_format=torch.channels_last)
        runs = {EAGER: eager(first, channels_last=False), 'stock channels last': eager(last)}
        if with_compile:
            runs['stock torch.compile'] = compiled(first, channels_last=False)
    with tempfile.TemporaryDirectory() as folder:
        weights, exported = Path(folder, 'random.pth'), Path(folder, 'pose.onnx')
        torch.save(dict(state_dict=first.state_dict()), weights)
        ours = PoseModel(model.read_config('ours'), str(weights), 'cpu', 'mmpose').model
        assert ours is not None
        runs['ours eager'] = eager(ours)
        if has_bfloat16():
            runs['ours eager, bfloat16 autocast'] = eager(ours, bfloat16=True)
        if with_compile:
            runs['ours torch.compile'] = compiled(ours)
        missing: list[str] = []
        crops = rendered_crops(model.input_size)
        for precision in ('float32', 'int8'):
            try:
                export_onnx(
                    ours,
                    exported,
                    model.input_size,
                    outputs='heatmaps',
                    normalize=False,
                    flip_test=False,
                    precision=precision,
                    calibration=crops if precision == 'int8' else (),
                    overwrite=True,
                )
                opened, reasons = open_installed(exported, THREADS)
            except (ImportError, RuntimeError) as error:
                reasons, opened = [str(error)], []
            missing += reasons
            runs |= {backend.name: partial(run_backend, backend) for _, backend in opened}
    return runs, list(dict.fromkeys(missing))


def run_backend(backend: Any, images: Tensor) -> Tensor:
    return torch.from_numpy(backend.run(images.numpy())[0])


def measure(model: Model, options: argparse.Namespace) -> tuple[list[list[object]], list[str]]:
    """Compare each runtime with stock's eager one, for each batch size.

    Returns:
        Rows of a table, and why runtimes are missing.
    """
    runs, missing = make_runs(model, options.compile)
    stock = runs.pop(EAGER)
    rows: list[list[object]] = []
    for batch in options.batch_sizes:
        images = torch.randn(
            batch, 3, *model.input_size[::-1], generator=torch.Generator().manual_seed(0)
        )
        expected = stock(images)
        for name, run in runs.items():
            print(f'{model.name}, batch {batch}: {name} …', file=sys.stderr, flush=True)
            difference = float((run(images) - expected).abs().max() / np.ptp(expected.numpy()))
            ratio = compare(
                partial(run, images), partial(stock, images), options.repeats, warm_up=1
            )
            spread = f'{ratio.lowest:.3g} to {ratio.highest:.3g}'
            times = [1e3 * ratio.ours_s, 1e3 * ratio.stock_s, ratio.ratio]
            rows.append([batch, name, *times, spread, f'{difference:.1g}'])
    return rows, missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--compile', action='store_true', help='torch.compile, too')
    parser.add_argument('--models', nargs='+', choices=SHOWN, default=list(SHOWN)[:3])
    parser.add_argument('--batch-sizes', nargs='+', type=int, default=[1, 16], metavar='N')
    parser.add_argument('--repeats', type=int, default=3, metavar='N')
    options = parser.parse_args()
    use_threads()
    print('## Runtimes\n')
    print(__doc__.splitlines()[0], '\n')
    print(
        f'{describe_cpu()}; {THREADS} threads. Each by turns with stock eager, {options.repeats} '
        'times. "ours eager" is as `PoseInferencer` runs it: norms folded, channels last. '
        '"differs" is the largest difference of heatmaps from stock eager, of their range, with '
        'random weights (int8: calibrated on four crops); what it means in AP, `precision` says.\n'
    )
    for name in options.models:
        with redirect_stdout(sys.stderr):  # what loaders print
            rows, missing = measure(SHOWN[name], options)
        print(f'{name}:\n')
        print(table(COLUMNS, rows))
        for reason in missing:
            print(f'Not timed: {reason}\n')


if __name__ == '__main__':
    main()
