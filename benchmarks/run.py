"""Run every benchmark of this folder, and write their reports to ``results.md``.

All but ``gpu.py``, which writes files of its own: run it where a GPU is.
"""

import argparse
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from timing import THREADS

from hrnet_plugin.environment.cpu import describe_cpu

HERE = Path(__file__).parent
NOT_RUN = ('gpu', 'guarded', 'networks', 'run', 'timing')
PACKAGES = (
    'torch',
    'numpy',
    'opencv-python',
    'mmengine',
    'mmcv',
    'mmpose',
    'onnxruntime',
    'openvino',
    'pycocotools',
)


def main() -> None:
    known = sorted(p.stem for p in HERE.glob('*.py') if p.stem not in NOT_RUN)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help=f'only these: {", ".join(known)}')
    names = parser.parse_args().names or known
    if wrong := set(names).difference(known):
        parser.error(f'no benchmark {", ".join(wrong)}; there are {", ".join(known)}')
    parts = [header(names)]
    for name in names:
        print(f'benchmarks/{name}.py …', flush=True)
        parts.append(output(HERE / f'{name}.py'))
        (HERE / 'results.md').write_text('\n'.join(parts))
    print('written to benchmarks/results.md')


def header(names: list[str]) -> str:
    """Say what was run, and on which machine."""
    lines = [
        '# Benchmarks',
        '',
        'Ours against stock, by turns: compare the ratios. A turn of short runs begins with a',
        'warm-up: after other work, the first runs take up to three times as long.',
        '',
        f'- command: `python benchmarks/run.py {" ".join(names)}`',
        f'- processor: {describe_cpu()}; {THREADS} threads used',
        f'- load of the machine before: {os.getloadavg()[0]:.1f}',
        f'- Python {platform.python_version()}, ' + ', '.join(map(package, PACKAGES)),
    ]
    return '\n'.join(lines) + '\n'


def package(name: str) -> str:
    try:
        return f'{name} {version(name)}'
    except PackageNotFoundError:
        return f'no {name}'


def output(script: Path) -> str:
    """Return what a benchmark prints; its errors are shown at once."""
    env = os.environ | dict(OMP_NUM_THREADS=str(THREADS), PYTHONWARNINGS='ignore')
    done = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True, env=env)
    if done.returncode:
        sys.exit(f'{script.name} failed')
    return done.stdout


if __name__ == '__main__':
    main()
