"""`hrnet-plugin doctor`: report installed packages, conflicts and the commands that fix them."""

import argparse
import sys

from ..environment.doctor import diagnose, notes
from ..environment.installed import (
    DISTRIBUTIONS,
    MODULES,
    OPTIONAL,
    PROVIDERS,
    Environment,
    inspect_environment,
)
from . import FOUND_ERRORS, OK, Run

WIDTH = 1 + max(map(len, DISTRIBUTIONS))
OPERATIONS = {
    'compiled': 'compiled',
    'mmcv-torchvision': "torchvision's, through mmcv-torchvision",
}


def add(parser: argparse.ArgumentParser) -> Run:
    """Add the arguments of the command."""
    parser.description = (
        'Print the versions of all packages that matter, and for each conflict the command that '
        'fixes it. Exit code 1 if there are conflicts.'
    )
    return run


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    env = inspect_environment()
    print(f'{"python":<{WIDTH}} {sys.version.split()[0]}  ({sys.executable})')
    for name in DISTRIBUTIONS:
        if name in env or not (name in OPTIONAL or env.provides(name)):
            print(package_line(name, env))
    if operations := env.facts.get('operations'):
        print(f'operations of mmcv: {OPERATIONS[operations]}; CUDA: {env.facts["mmcv_cuda"]}')
    print(f'GPU: {env.facts.get("gpu", "none that torch sees")}')
    for note in notes(env):
        print(f'\nNote: {note}')
    conflicts = diagnose(env)
    if not conflicts:
        print('\nno conflicts')
        return OK
    for conflict in conflicts:
        print(f'\n{conflict.reason}\n    {conflict.fix}')
    number = '1 conflict' if len(conflicts) == 1 else f'{len(conflicts)} conflicts'
    print(f'\n{number}; run the commands from the first one on')
    return FOUND_ERRORS


def package_line(name: str, env: Environment) -> str:
    """Describe a distribution: its version, what it was built for, and whether it imports."""
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
