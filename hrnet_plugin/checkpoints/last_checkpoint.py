"""Which checkpoint to resume from: the last one that is whole."""

import re
import socket
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from mmengine.dist import all_gather_object, get_rank

from ..utils.atomic_files import check_checksums, write_atomically

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


def named_checkpoint(work_dir: Path) -> Path | None:
    """The checkpoint that MMEngine resumes from unless another one is named."""
    pointer = work_dir / POINTER
    return Path(pointer.read_text().strip()) if pointer.is_file() else None


def check_agreement(path: Path | None) -> None:
    """Compare what all processes are about to load.

    Each loads it from its own disk, and nothing later makes weights that differ equal.

    Args:
        path: Checkpoint of this process; None if there is none.

    Raises:
        ValueError: They are not all the same; raised in all processes.
    """
    mine = f'{path.name}, {_fingerprint(path)}' if path is not None else 'none'
    rank = f'rank {get_rank()} on {socket.gethostname()}'
    places: dict[str, list[str]] = {}
    for found, where in all_gather_object((mine, rank)):
        places.setdefault(found, []).append(where)
    if len(places) > 1:
        listed = '; '.join(
            f'{found} ({ranks[0]}{f" and {len(ranks) - 1} more" if ranks[1:] else ""})'
            for found, ranks in places.items()
        )
        raise ValueError(
            f'the processes of this run do not find the same checkpoint: {listed}. Only the first '
            'node writes them: put work_dir where all nodes share it, or copy the checkpoint and '
            f'{POINTER} to the same place on the others'
        )


def _fingerprint(path: Path) -> str:
    """Tell checkpoints of different content apart, by the checksums that archives hold."""
    if not path.is_file():
        return 'missing'
    if not zipfile.is_zipfile(path):
        return f'{path.stat().st_size:,} bytes'
    with zipfile.ZipFile(path) as archive:
        content = [(member.filename, member.CRC) for member in archive.infolist()]
    return f'checksum {zlib.crc32(repr(content).encode()):08x}'
