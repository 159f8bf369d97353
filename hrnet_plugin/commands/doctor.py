"""`hrnet-plugin doctor`: what is installed, what clashes, and what mends it."""

import argparse
import sys

from ..environment.doctor import (
    DISTRIBUTIONS,
    MODULES,
    OPTIONAL,
    PROVIDERS,
    Environment,
    diagnose,
    environment,
    notes,
)
from . import FOUND_ERRORS, OK, Run

WIDTH = 1 + max(map(len, DISTRIBUTIONS))
OPERATIONS = {
    'compiled': 'compiled',
    'mmcv-torchvision': "torchvision's, through mmcv-torchvision",
}


def add(parser: argparse.ArgumentParser) -> Run:
    parser.description = (
        'Print the versions of all packages that matter, what clashes, and for each clash the '
        'command that mends it. Exit code 1 if anything does.'
    )
    return run


def run(args: argparse.Namespace) -> int:
    env = environment()
    print(f'{"python":<{WIDTH}} {sys.version.split()[0]}  ({sys.executable})')
    for name in DISTRIBUTIONS:
        if name in env or not (name in OPTIONAL or env.provides(name)):
            print(line(name, env))
    if operations := env.facts.get('operations'):
        print(f'operations of mmcv: {OPERATIONS[operations]}; CUDA: {env.facts["mmcv_cuda"]}')
    print(f'GPU: {env.facts.get("gpu", "none that torch sees")}')
    for note in notes(env):
        print(f'\nNote: {note}')
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
    details = []
    if name == 'torch' and 'cuda' in env.facts:
        details.append(f'built for CUDA {env.facts["cuda"]}' if env.facts['cuda'] else 'CPU only')
    failing = [
        module
        for module, distribution in MODULES.items()
        if name in PROVIDERS.get(distribution, (distribution,)) and module in env.failures
    ]
    details += [f'{m} does not import: {env.failures[m].splitlines()[0]}' for m in failing[:1]]
    version = env.versions.get(name, '(missing)')
    return f'{name:<{WIDTH}} {version}' + (f'  ({"; ".join(details)})' if details else '')
