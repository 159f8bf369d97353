"""Command lines, as users type them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .paths import ROOT


def copy_repository(folder: Path) -> Path:
    """Copy the sources elsewhere: setuptools packs what an earlier build has left in build/."""
    names = ('.*', 'build', 'site', '*.egg-info', '__pycache__', 'work_dirs', 'data')
    shutil.copytree(ROOT, folder, symlinks=True, ignore=shutil.ignore_patterns(*names))
    shutil.copytree(ROOT / 'hrnet_plugin/.mim', folder / 'hrnet_plugin/.mim', symlinks=True)
    return folder


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


def exit_code(arguments: list[str]) -> int:
    """Run ``hrnet-plugin`` in this process; its exit code, also that of the parser's errors."""
    from hrnet_plugin.commands.cli import main

    try:
        return main(arguments)
    except SystemExit as error:
        return int(error.code or 0)
