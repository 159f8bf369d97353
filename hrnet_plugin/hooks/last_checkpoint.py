"""Which checkpoint to resume from: the last one that is whole."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from ..atomic_files import check_checksums, write_atomically

POINTER = 'last_checkpoint'  # where MMEngine writes, and looks for, the path of the last one


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint that MMEngine wrote; None if it is whole."""
    if not path.is_file():
        return 'it is missing'
    # The directory of a zip archive comes last: what is cut short is no archive.
    if not zipfile.is_zipfile(path):
        return f'it is cut short, with {path.stat().st_size:,} bytes'
    try:
        with path.open('rb') as file:
            check_checksums(file)
    except (ValueError, zipfile.BadZipFile, EOFError, OSError) as error:
        return str(error)
    return None


def mend_last_checkpoint(
    work_dir: Path, folder: Path, template: str, warn: Callable[[str], object]
) -> None:
    """Let ``last_checkpoint`` in ``work_dir`` name the last checkpoint that is whole.

    Args:
        folder: holds the checkpoints.
        template: their file name, with ``{}`` for the epoch or the iteration.

    Raises:
        ValueError: there are checkpoints, but none is whole.
    """
    pointer = work_dir / POINTER
    named = pointer.read_text().strip() if pointer.is_file() else ''
    problems = []
    for path in _candidates(Path(named) if named else None, folder, template):
        problem = damage(path)
        if problem is None:
            if str(path) != named:
                warn(f'resuming from {path}, the last checkpoint that is whole')
                write_atomically(pointer, str(path).encode())
            return
        problems.append(f'{path}: {problem}')
        warn(f'cannot resume from {path}: {problem}')
    if problems:
        raise ValueError(
            '\n'.join(['no checkpoint to resume from is whole:', *problems])
            + f'\nTo start over, delete them and {pointer}'
        )


def _candidates(named: Path | None, folder: Path, template: str) -> list[Path]:
    """Checkpoints to resume from, the best first; none later than the one that is named."""
    before, after = map(re.escape, template.split('{}'))
    pattern = re.compile(f'{before}(\\d+){after}')
    steps = {
        int(match[1]): path
        for path in folder.glob('*')
        if (match := pattern.fullmatch(path.name)) is not None
    }
    match = pattern.fullmatch(named.name) if named else None
    if named is None or match is None:
        others = [steps[step] for step in sorted(steps, reverse=True)]
        return others if named is None else [named, *others]
    last = int(match[1])
    # The folder may have been moved since: its files may be elsewhere now.
    found = named if named.exists() else steps.get(last, named)
    return [found, *(steps[step] for step in sorted(steps, reverse=True) if step < last)]
