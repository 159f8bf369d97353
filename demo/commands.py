"""Runs commands that a user could type, shows how far they are, and keeps what they say."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

PROGRESS = re.compile(r'Epoch\((\w+)\)\s+(?:\[(\d+)\])?\[\s*(\d+)/(\d+)\].*?eta: (\S+)')
NEVER = 10**6
ENVIRONMENT = {
    # Threads that wait for each other spin, but not for long: where nothing else runs, that is
    # nearly twice as fast as not to spin, and where something does, about twice as fast as to spin
    # for as long as libgomp would.
    'GOMP_SPINCOUNT': '20000',
    # What `hrnet_plugin.utils.allocator` does for our own tools
    'MALLOC_MMAP_MAX_': '0',
    'MALLOC_TRIM_THRESHOLD_': str(2**40),
}
VALUES = re.compile(r'\b(loss|acc_pose): (\S+)')


class Commands:
    """Commands on COCO-format data in ``root/data``, with all that they leave in ``root``.

    They run in ``root``, so that options can name files without blanks or commas, which
    MMEngine's command line would read as something else.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / 'logs').mkdir(parents=True, exist_ok=True)

    def train(self, package: str, config: Path, name: str, options: list[str]) -> None:
        """``mim train``, from where an interrupted one stopped; leaves ``NAME.pth``."""
        options = [*options, f'train_cfg.val_interval={NEVER}']  # ``test`` comes afterwards
        arguments = ['--work-dir', name, '--resume', *changed(options)]
        self.call(f'train_{name}', 'mim', 'train', package, config, *arguments)
        checkpoint = Path((self.root / name / 'last_checkpoint').read_text().strip())
        link = self.root / f'{name}.pth'
        link.unlink(missing_ok=True)
        link.symlink_to(Path(name) / checkpoint.name)

    def test(self, package: str, config: Path, name: str, options: list[str]) -> dict[str, float]:
        """``mim test`` of what ``train`` left; returns its metrics."""
        self.call(
            f'test_{name}',
            *('mim', 'test', package, config, '--checkpoint', f'{name}.pth'),
            *('--work-dir', f'{name}/test', *changed(options)),
        )
        results = (self.root / name / 'test').glob('*/*.json')
        return json.loads(max(results, key=lambda path: path.stat().st_mtime).read_text())

    def call(self, name: str, program: str, *arguments: Any) -> None:
        """Run a program of this Python's environment.

        Raises:
            SystemExit: it failed; with the end of what it said.
        """
        command = [program, *map(str, arguments)]
        with (self.root / 'commands.txt').open('a') as file:
            file.write(
                f'cd {shlex.quote(str(self.root))} && COCO_ROOT=data {shlex.join(command)}\n'
            )
        log = self.root / 'logs' / f'{name}.log'
        with (
            log.open('a') as file,
            subprocess.Popen(
                [str(Path(sys.executable).parent / program), *command[1:]],
                cwd=self.root,
                env=ENVIRONMENT | os.environ | {'COCO_ROOT': 'data', 'PYTHONWARNINGS': 'ignore'},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,  # the carriage return that progress bars write ends a line, too
                encoding='utf-8',
                errors='replace',
                start_new_session=True,  # to be able to stop whatever it starts
            ) as process,
            tqdm(bar_format='    {desc}', leave=False, disable=None) as bar,  # on a terminal
        ):
            try:
                for line in process.stdout or ():
                    file.write(line)
                    if status := progress(line):
                        bar.set_description_str(status)
            except BaseException:  # Ctrl-C above all
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
                raise
        if process.returncode:
            tail = '\n'.join(log.read_text().splitlines()[-15:])
            sys.exit(f'{tail}\n\n{shlex.join(command)}\nfailed; all that it said is in {log}')


def changed(options: list[str]) -> list[str]:
    """Changes to a config, as an argument of MMEngine's tools."""
    return ['--cfg-options', *options] if options else []


def progress(line: str) -> str | None:
    """What a line of a log says of how far a command is; None if nothing."""
    match = PROGRESS.search(line)
    if match:
        phase, epoch, step, steps, left = match.groups()
        values = ''.join(f', {name} {float(value):.3g}' for name, value in VALUES.findall(line))
        return f'{phase} epoch {epoch or 1}, {step}/{steps}{values}, {left} to go'
    return line.strip() if 'image/s' in line else None
