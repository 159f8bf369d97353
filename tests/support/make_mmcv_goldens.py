"""Keep what compiled mmcv returns for the cases of ``mmcv_cases.py``.

Run it where mmcv is compiled: ``make clean && make OPS=compiled install``, then
``PYTHONPATH=tests .venv/bin/python -m support.make_mmcv_goldens``.
"""

import platform
from importlib.metadata import version
from typing import Any

import mmcv._ext
import numpy as np

from .mmcv_cases import CASES
from .paths import GOLDENS

FILE = GOLDENS / 'mmcv.npz'


def main() -> None:
    if not mmcv._ext.__file__.endswith('.so'):
        raise SystemExit(f'mmcv is not compiled here: {mmcv._ext.__file__}')
    packages = ('mmcv', 'torch', 'numpy')
    made_by = ', '.join(f'{name} {version(name)}' for name in packages)
    arrays: dict[str, Any] = {
        'made by': np.array(f'{made_by}, Python {platform.python_version()}')
    }
    for name, case in CASES.items():
        arrays.update((f'{name}: {key}', array) for key, array in case().items())
    np.savez_compressed(FILE, **arrays)
    print(f'{len(CASES)} cases by {made_by}: {FILE.stat().st_size:,} bytes')


if __name__ == '__main__':
    main()
