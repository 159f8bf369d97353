"""`hrnet-plugin doctor`: what is installed, what clashes, and what mends it."""

import argparse
import sys

from ..doctor import DISTRIBUTIONS, MODULES, OPENCV, Environment, diagnose, environment
from . import FOUND_ERRORS, OK, Run

ONE_OF = (*OPENCV, 'mmcv-lite')  # not missed
HEATMAPS = {
    'compiled': 'on a CPU, drawn and read by compiled code',
    'not compiled': 'on a CPU, drawn and read by torch, which takes longer; for compiled code, '
    'install hrnet_plugin again where there is a C compiler with OpenMP',
}


def add(parser: argparse.ArgumentParser) -> Run:
    parser.description = (
        'Print the versions of all packages that matter, what clashes, and for each clash the '
        'command that mends it. Exit code 1 if anything does.'
    )
    return run


def run(args: argparse.Namespace) -> int:
    env = environment()
    print(f'python         {sys.version.split()[0]}  ({sys.executable})')
    for name in DISTRIBUTIONS:
        if name in env or name not in ONE_OF:
            print(line(name, env))
    print(f'GPU            {env.facts.get("gpu", "none that torch sees")}')
    if heatmaps := env.facts.get('heatmaps'):
        print(f'heatmaps       {HEATMAPS[heatmaps]}')
    clashes = diagnose(env)
    if not clashes:
        print('\nnothing clashes')
        return OK
    for clash in clashes:
        print(f'\n{clash.reason}\n    {clash.mend}')
    print(f'\n{len(clashes)} to mend; the commands can be pasted, from the first one on')
    return FOUND_ERRORS


def line(name: str, env: Environment) -> str:
    """Name and version of a distribution, what it was built for, and whether it imports."""
    notes = []
    if name == 'torch' and 'cuda' in env.facts:
        notes.append(f'built for CUDA {env.facts["cuda"]}' if env.facts['cuda'] else 'CPU only')
    if name == 'mmcv' and 'mmcv_cuda' in env.facts:
        notes.append(f'operations built for CUDA: {env.facts["mmcv_cuda"]}')
    failing = [m for m, d in MODULES.items() if d == name and m in env.failures]
    notes += [f'{m} does not import: {env.failures[m].splitlines()[0]}' for m in failing[:1]]
    version = env.versions.get(name, '(missing)')
    return f'{name:<14} {version}' + (f'  ({"; ".join(notes)})' if notes else '')
