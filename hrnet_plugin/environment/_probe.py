"""Import the modules that the arguments name, and print what became of each as lines of JSON.

The doctor runs this file in another process, as an import may crash. One process imports all
modules, as each takes seconds.
"""

import json
import os
import sys
from typing import Any


def main(modules: list[str]) -> None:
    """Import modules and report each; then report what torch and mmcv were built for."""
    # Without the folder of this file, whose modules could hide others
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path = [folder for folder in sys.path if folder and os.path.abspath(folder) != here]
    out, sys.stdout = sys.stdout, sys.stderr

    def report(**facts: Any) -> None:
        print(json.dumps(facts), file=out, flush=True)

    for name in modules:
        report(module=name)  # before the import, which may end this process
        try:
            __import__(name)
        except BaseException as error:  # a package may even exit
            report(error=f'{type(error).__name__}: {error}')
        else:
            report(error=None)
    torch = sys.modules.get('torch')
    if torch is not None and hasattr(torch, 'version'):
        report(cuda=torch.version.cuda)
        if torch.cuda.is_available():
            report(gpu=torch.cuda.get_device_name())
    if 'mmcv' in sys.modules and getattr(sys.modules['mmcv'], '__file__', None) is None:
        report(mmcv_files='only mmcv/_ext.py')
    if 'mmcv._ext' in sys.modules:
        operations: Any = sys.modules['mmcv._ext']
        is_python = operations.__file__.endswith('.py')
        report(operations='mmcv-torchvision' if is_python else 'compiled')
        report(mmcv_cuda=operations.get_compiling_cuda_version())


if __name__ == '__main__':
    main(sys.argv[1:])
