"""Stock MMPose's command-line tools, run with the plugin imported."""

import runpy
from pathlib import Path

import mmpose


def run_stock_tool(name: str) -> None:
    """Run ``train`` or ``test`` of MMPose with this program's arguments.

    Raises:
        FileNotFoundError: MMPose was installed without its tools.
    """
    path = Path(mmpose.__file__).parent / '.mim' / 'tools' / f'{name}.py'
    if not path.exists():
        raise FileNotFoundError(
            f'{path} is missing: install mmpose 1.x from its wheel, which carries its tools'
        )
    runpy.run_path(str(path), run_name='__main__')
