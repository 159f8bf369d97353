"""Command lines, as users type them."""

import os
import subprocess
import sys
from pathlib import Path


def run(command: list[str] | str, cwd: Path, **env: str) -> str:
    """Run a command line of a user whose environment is active; its output."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'} | env,
        shell=isinstance(command, str),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout
