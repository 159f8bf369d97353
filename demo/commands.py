"""Run commands that a user could type; show their progress, and keep their output."""

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

PROGRESS = re.compile(
    r'Epoch\((\w+)\)\s+(?:\[(\d+)\])?\[\s*(\d+)/(\d+)\].*?eta: (\d+):(\d+):(\d+)'
)
NEVER = 10**6
ENVIRONMENT = {
    # Waiting threads spin briefly: on an idle machine, nearly twice as fast as not to spin; on a
    # busy one, about twice as fast as to spin for as long as libgomp would.
    'GOMP_SPINCOUNT': '20000',
    # As `hrnet_plugin.utils.allocator` does for our own tools
    'MALLOC_MMAP_MAX_': '0',
    'MALLOC_TRIM_THRESHOLD_': str(2**40),
}
VALUES = re.compile(r'\b(loss|acc_pose): (\S+)')


class Commands:
    """Commands on data in COCO's format in ``root/data``, with their results in ``root``.

    They run in ``root``, so that options name files without blanks or commas, which MMEngine's
    command line would misread.

    Args:
        root: A folder; it is made if it is not there.

    Attributes:
        minutes_after: How long that takes which follows the next command; progress shows it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.minutes_after = 0.0
        (root / 'logs').mkdir(parents=True, exist_ok=True)

    def train(self, package: str, config: Path, name: str, options: list[str]) -> None:
        """Run ``mim train``, or resume it; leave ``NAME.pth``."""
        options = [*options, f'train_cfg.val_interval={NEVER}']  # `test` comes afterwards
        arguments = ['--work-dir', name, '--resume', *changed(options)]
        self.call(f'train_{name}', 'mim', 'train', package, config, *arguments)
        checkpoint = Path((self.root / name / 'last_checkpoint').read_text().strip())
        link = self.root / f'{name}.pth'
        link.unlink(missing_ok=True)
        link.symlink_to(Path(name) / checkpoint.name)

    def test(self, package: str, config: Path, name: str, options: list[str]) -> dict[str, float]:
        """Run ``mim test`` on what `train` left; return its metrics."""
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
            SystemExit: If it fails; with the end of its output.
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
                text=True,  # ends a line at the carriage returns of progress bars, too
                encoding='utf-8',
                errors='replace',
                start_new_session=True,  # so that all that it starts can be stopped
            ) as process,
            tqdm(bar_format='    {desc}', leave=False, disable=None) as bar,  # on a terminal
        ):
            try:
                for line in process.stdout or ():
                    file.write(line)
                    if status := progress(line, self.minutes_after):
                        bar.set_description_str(status)
            except BaseException:  # Ctrl-C above all
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
                raise
        if process.returncode:
            tail = '\n'.join(log.read_text().splitlines()[-15:])
            sys.exit(f'{tail}\n\n{shlex.join(command)}\nfailed; its whole output is in {log}')


def changed(options: list[str]) -> list[str]:
    """Return changes to a config as arguments of MMEngine's tools."""
    return ['--cfg-options', *options] if options else []


def progress(line: str, minutes_after: float = 0) -> str | None:
    """Return the progress that a line of a log tells; None if none.

    Args:
        line: The line.
        minutes_after: How long that takes which follows the command.
    """
    match = PROGRESS.search(line)
    if match:
        phase, epoch, step, steps, hours, minutes, seconds = match.groups()
        values = ''.join(f', {name} {float(value):.3g}' for name, value in VALUES.findall(line))
        left = 60 * int(hours) + int(minutes) + int(seconds) / 60
        return (
            f'{phase} epoch {epoch or 1}, {step}/{steps}{values}; {left:.1f} minutes left, '
            f'{left + minutes_after:.0f} with all that follows'
        )
    return line.strip() if 'image/s' in line else None
