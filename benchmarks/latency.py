"""Latency against published AP: every model of the metafiles, one instance, in each runtime.

Writes ``docs/latency.png``. Models that stock MMPose has no config of have no point of stock's.
"""

import argparse
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib import pyplot as plt
from mmengine.fileio import load
from networks import OURS, Model
from runtimes import make_runs
from timing import THREADS, table, use_threads

from hrnet_plugin.environment.cpu import describe_cpu
from hrnet_plugin.utils.timing import by_turns

PLOT = Path(__file__).parent.parent / 'docs' / 'latency.png'
FAMILIES = dict(hrnet='HRNet', litehrnet='LiteHRNet', hrformer='HRFormer')
MARKERS = dict(HRNet='o', LiteHRNet='s', HRFormer='^')


def published() -> dict[str, tuple[Model, float]]:
    """Return the models of the metafiles for COCO and their published AP, by alias."""
    found = {}
    for family, name in FAMILIES.items():
        for row in load(OURS / f'{family}_coco.yml')['Models']:
            if row.get('Results'):
                alias = row['Alias'][0]
                model = Model(alias, name, '', Path(row['Config']).name)
                found[alias] = model, 100 * row['Results'][0]['Metrics']['AP']
    return found


def measure(model: Model, repeats: int) -> dict[str, float]:
    """Return milliseconds of one instance, from normalized image to heatmaps, by runtime."""
    runs, _ = make_runs(model, with_compile=False)
    image = torch.randn(1, 3, *model.input_size[::-1])
    names = [name for name in runs if 'autocast' not in name and name != 'stock channels last']
    rounds = by_turns([partial(runs[name], image) for name in names], repeats)
    return {name: 1e3 * sorted(times)[repeats // 2] for name, times in zip(names, zip(*rounds))}


def draw(results: dict[str, tuple[Model, float, dict[str, float]]], path: Path) -> None:
    """Draw a point for each model and runtime."""
    matplotlib.use('Agg')
    figure, axes = plt.subplots(figsize=(9, 6), layout='constrained')
    runtimes = list(dict.fromkeys(name for _, _, times in results.values() for name in times))
    for name, color in zip(runtimes, plt.get_cmap('tab10').colors):  # type: ignore[attr-defined]
        for family, marker in MARKERS.items():
            points = [
                (times[name], ap)
                for model, ap, times in results.values()
                if model.family == family and name in times
            ]
            if points:
                axes.plot(*zip(*sorted(points)), marker=marker, color=color, linewidth=0.8)
        axes.plot([], [], color=color, label=name)
    for family, marker in MARKERS.items():
        axes.plot([], [], color='gray', marker=marker, linestyle='', label=family)
    for alias, (_, ap, times) in results.items():
        label = alias.replace('_coco-', ' ')
        axes.annotate(
            label,
            (min(times.values()), ap),
            (-4, 3),
            textcoords='offset points',
            ha='right',
            size=7,
        )
    axes.set_xscale('log')
    axes.set_xlabel(f'ms for one instance, no flip test; {describe_cpu()}, {THREADS} threads')
    axes.set_ylabel('AP on COCO val2017, published, with flip test')
    axes.margins(x=0.2)
    axes.grid(alpha=0.3, which='both')
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    models = published()
    parser.add_argument('--models', nargs='+', choices=models, default=list(models))
    parser.add_argument('--repeats', type=int, default=3, metavar='N')
    parser.add_argument('--plot', type=Path, default=PLOT, metavar='FILE')
    options = parser.parse_args()
    use_threads()
    results: dict[str, tuple[Model, float, dict[str, float]]] = {}
    for alias in options.models:
        print(f'{alias} …', file=sys.stderr, flush=True)
        model, ap = models[alias]
        with redirect_stdout(sys.stderr):  # what loaders print
            results[alias] = model, ap, measure(model, options.repeats)
    draw(results, options.plot)
    columns = list(dict.fromkeys(name for _, _, times in results.values() for name in times))
    rows: list[list[Any]] = [
        [alias, f'{ap:.1f}', *(times.get(name, '') for name in columns)]
        for alias, (_, ap, times) in results.items()
    ]
    print('## Latency\n')
    print(__doc__.splitlines()[0], '\n')
    print(
        f'Milliseconds for one instance, from normalized image to heatmaps, without flip test; '
        f'medians of {options.repeats} turns. {describe_cpu()}; {THREADS} threads. AP is that '
        'published for COCO val2017 with flip test; weights are random here. Plot: '
        '[latency.png](../docs/latency.png)\n'
    )
    print(table(['', 'AP', *columns], rows))


if __name__ == '__main__':
    main()
