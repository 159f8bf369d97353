"""Keep what compiled mmcv returns for the cases of ``mmcv_cases.py``.

Run it where mmcv is compiled: ``make clean && make OPS=compiled install``, then
``.venv/bin/python tests/packages/make_mmcv_goldens.py``.
"""

import platform
from importlib.metadata import version
from pathlib import Path

import mmcv._ext
import numpy as np
from mmcv_cases import CASES

GOLDENS = Path(__file__).parent / 'goldens/mmcv.npz'


def main() -> None:
    if not mmcv._ext.__file__.endswith('.so'):
        raise SystemExit(f'mmcv is not compiled here: {mmcv._ext.__file__}')
    packages = ('mmcv', 'torch', 'numpy')
    made_by = ', '.join(f'{name} {version(name)}' for name in packages)
    arrays = {'made by': np.array(f'{made_by}, Python {platform.python_version()}')}
    for name, case in CASES.items():
        arrays.update((f'{name}: {key}', array) for key, array in case().items())
    np.savez_compressed(GOLDENS, **arrays)
    print(f'{len(CASES)} cases by {made_by}: {GOLDENS.stat().st_size:,} bytes')


if __name__ == '__main__':
    main()
