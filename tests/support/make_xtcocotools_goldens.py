"""Write goldens/xtcocotools.npz: what compiled xtcocotools 1.14.3 makes of random scenes.

Run it where that one is installed (see README.md of packages/xtcocotools-pycocotools):

    PYTHONPATH=tests python -m support.make_xtcocotools_goldens

``--compare N`` writes nothing, but compares it with ours on N scenes, in two processes.
"""

import argparse
import contextlib
import importlib.metadata
import inspect
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xtcocotools.mask
import xtcocotools.version
from xtcocotools import coco, cocoeval, mask

from .paths import GOLDENS, ROOT

FILE = GOLDENS / 'xtcocotools.npz'
SOURCE = ROOT / 'packages/xtcocotools-pycocotools/src'
SEEDS, MASK_SEEDS = 2, 3
NUMPY_1_NAME = ('NPY_OWNDATA', 4)  # compiled `mask` looks it up in numpy, where 2.0 dropped it


def interface() -> dict[str, list]:
    """Name, kind and default of the parameters of each public function, method and class."""
    found = {}
    for module in (coco, cocoeval, mask):
        short = module.__name__.partition('.')[-1]
        for name, thing in public(module):
            found[f'{short}.{name}'] = parameters(thing)
            for method, function in public(thing) if isinstance(thing, type) else ():
                found[f'{short}.{name}.{method}'] = parameters(function)[1:]  # without self
    return found


def public(owner: ModuleType | type) -> list[tuple[str, object]]:
    members = inspect.getmembers(owner, callable)
    if isinstance(owner, ModuleType):
        home = owner.__name__.partition('.')[0], 'pycocotools'
        members = [m for m in members if (m[1].__module__ or '').startswith(home)]
    return [(name, thing) for name, thing in members if not name.startswith('_')]


def parameters(thing: Any) -> list:
    """An empty list and an empty tuple are the same default."""
    each = inspect.signature(thing).parameters.values()
    return [[p.name, p.kind.name, repr(p.default).replace('()', '[]')] for p in each]


def make() -> None:
    from .xtcocotools_mmpose import SETTINGS, dataset_digest, metric_results
    from .xtcocotools_scenes import KINDS, flat, make_scene, mask_results, results

    if not hasattr(xtcocotools, '_mask') or xtcocotools.version.__version__ != '1.14.3':
        raise SystemExit('The goldens are made by compiled xtcocotools 1.14.3, which is not here')
    versions = {
        name: importlib.metadata.version(name)
        for name in ('xtcocotools', 'pycocotools', 'numpy', 'mmpose')
    }
    about: dict[str, Any] = dict(
        made='PYTHONPATH=tests python -m support.make_xtcocotools_goldens',
        by=versions | dict(python=sys.version.split()[0]),
        interface=interface(),
        digests={},
        printed={},
        metrics={},
        datasets={},
    )
    arrays: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for kind in KINDS:
            for seed in range(SEEDS):
                scene, name = make_scene(kind, seed), f'{kind}/{seed}'
                about['digests'][name] = scene.digest()
                found, about['printed'][name] = results(scene, Path(folder))
                arrays[name] = flat(found.values())
        for seed in range(MASK_SEEDS):
            arrays[f'mask/{seed}'] = flat(mask_results(seed).values())
        for name in SETTINGS:
            about['metrics'][name] = metric_results(name, Path(folder))
            about['datasets'][name] = dataset_digest(name, Path(folder))
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, about=json.dumps(about), **arrays)
    print(f'{FILE}: {FILE.stat().st_size / 1000:.0f} kB, {len(arrays)} scenes')


def dump(path: Path, count: int) -> None:
    """The results of ``count`` scenes, for ``compare``."""
    from .xtcocotools_scenes import KINDS, make_scene, mask_results, results

    start, spent = time.time(), 0.0
    found: dict[str, Any] = {'version': np.array(xtcocotools.version.__version__)}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for seed in range(count):
            kind = [*KINDS, 'mask'][seed % (len(KINDS) + 1)]
            if kind == 'mask':
                values, text = mask_results(1000 + seed), ''
            else:
                scene = make_scene(kind, 1000 + seed)
                start = time.time()
                values, text = results(scene, Path(folder))
                spent += time.time() - start
            found.update({f'{seed}/{kind}/{name}': array for name, array in values.items()})
            found[f'{seed}/{kind}/printed'] = np.array(text)
    np.savez_compressed(path, seconds=spent, **found)


def compare(count: int, source: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loaded = []
        for number, path in enumerate(('', str(source))):
            file = Path(folder) / f'{number}.npz'
            command = [sys.executable, '-W', 'ignore', '-m', __spec__.name]
            command += ['--dump', str(file), '--scenes', str(count)]
            subprocess.run(
                command, check=True, env=os.environ | {'PYTHONPATH': f'{path}:{ROOT / "tests"}'}
            )
            loaded.append(dict(np.load(file)))
    theirs, ours = loaded
    versions = str(theirs.pop('version')), str(ours.pop('version'))
    assert versions == ('1.14.3', '1.14.3+pycocotools'), versions
    seconds = float(theirs.pop('seconds')), float(ours.pop('seconds'))
    assert theirs.keys() == ours.keys(), theirs.keys() ^ ours.keys()
    largest, told, texts = 0.0, 0, 0
    for name, expected in theirs.items():
        if expected.dtype.kind == 'U':
            texts += bool(ours[name] != expected)
            continue
        assert ours[name].shape == expected.shape, name
        assert np.array_equal(np.isnan(ours[name]), np.isnan(expected)), name
        apart = float(np.nan_to_num(np.abs(ours[name] - expected.astype(float))).max(initial=0))
        if apart > 0:
            print(f'{name}: {apart:g}')
        largest = max(largest, apart)
        told += name.endswith('/stats') and 0 < expected[0] < 1
    print(
        f'{count} scenes, {told} of which have an AP between 0 and 1: {len(theirs)} arrays and '
        f'texts, largest difference {largest:g}, {texts} printed texts differ; evaluation took '
        f'{seconds[0]:.1f} s and {seconds[1]:.1f} s'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--compare', type=int, metavar='N', help='compare N scenes instead')
    parser.add_argument('--source', type=Path, default=SOURCE, help='ours, for --compare')
    parser.add_argument('--dump', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--scenes', type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    setattr(np, *NUMPY_1_NAME)
    if args.dump:
        dump(args.dump, args.scenes)
    elif args.compare:
        compare(args.compare, args.source)
    else:
        make()


if __name__ == '__main__':
    main()
