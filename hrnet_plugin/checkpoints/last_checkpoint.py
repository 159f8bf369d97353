"""Find the checkpoint to resume from: the last complete one."""

import re
import socket
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from mmengine.dist import all_gather_object, get_rank

from ..utils.atomic_files import check_checksums, write_atomically

POINTER = 'last_checkpoint'  # file in which MMEngine keeps the path of the last one


def find_corruption(path: Path) -> str | None:
    """Describe what is wrong with a checkpoint that MMEngine wrote; None if it is intact."""
    if not path.is_file():
        return 'it is missing'
    # The directory of a zip archive is at its end: a truncated archive is none.
    if not zipfile.is_zipfile(path):
        return f'it is cut short, with {path.stat().st_size:,} bytes'
    try:
        with path.open('rb') as file:
            check_checksums(file)
    except (ValueError, zipfile.BadZipFile, EOFError, OSError) as error:
        return str(error)
    return None


def repair_last_checkpoint(
    work_dir: Path, folder: Path, template: str, warn: Callable[[str], object]
) -> None:
    """Let ``last_checkpoint`` name the last intact checkpoint.

    Args:
        work_dir: Folder of the file ``last_checkpoint``.
        folder: Folder of the checkpoints.
        template: Name of a checkpoint, with ``{}`` for the epoch or the iteration.
        warn: Function that takes a message for the log.

    Raises:
        ValueError: There are checkpoints, but none is intact.
    """
    pointer = work_dir / POINTER
    named = pointer.read_text().strip() if pointer.is_file() else ''
    problems = []
    for path in _candidates(Path(named) if named else None, folder, template):
        problem = find_corruption(path)
        if problem is None:
            if str(path) != named:
                warn(f'resuming from {path}, the last intact checkpoint')
                write_atomically(pointer, str(path).encode())
            return
        problems.append(f'{path}: {problem}')
        warn(f'cannot resume from {path}: {problem}')
    if problems:
        raise ValueError(
            '\n'.join(['no checkpoint to resume from is intact:', *problems])
            + f'\nTo start over, delete them and {pointer}'
        )


def _candidates(named: Path | None, folder: Path, template: str) -> list[Path]:
    """List checkpoints to resume from, the latest first; none later than the named one."""
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
    current = named if named.exists() else steps.get(last, named)
    return [current, *(steps[step] for step in sorted(steps, reverse=True) if step < last)]


def named_checkpoint(work_dir: Path) -> Path | None:
    """Return the checkpoint that MMEngine resumes from by default; None if there is none."""
    pointer = work_dir / POINTER
    return Path(pointer.read_text().strip()) if pointer.is_file() else None


def check_agreement(path: Path | None) -> None:
    """Check that all processes are about to load the same checkpoint.

    Each loads it from its own disk, and nothing synchronises their weights afterwards.

    Args:
        path: Checkpoint of this process; None if there is none.

    Raises:
        ValueError: They differ; raised in all processes.
    """
    mine = f'{path.name}, {_fingerprint(path)}' if path is not None else 'none'
    rank = f'rank {get_rank()} on {socket.gethostname()}'
    ranks_of: dict[str, list[str]] = {}
    for fingerprint, where in all_gather_object((mine, rank)):
        ranks_of.setdefault(fingerprint, []).append(where)
    if len(ranks_of) > 1:
        listed = '; '.join(
            f'{fingerprint} ({ranks[0]}{f" and {len(ranks) - 1} more" if ranks[1:] else ""})'
            for fingerprint, ranks in ranks_of.items()
        )
        raise ValueError(
            f'the processes of this run do not find the same checkpoint: {listed}. Only the first '
            'node writes them: put work_dir where all nodes share it, or copy the checkpoint and '
            f'{POINTER} to the same place on the others'
        )


def _fingerprint(path: Path) -> str:
    """Summarise a checkpoint's content, by the checksums that archives hold."""
    if not path.is_file():
        return 'missing'
    if not zipfile.is_zipfile(path):
        return f'{path.stat().st_size:,} bytes'
    with zipfile.ZipFile(path) as archive:
        content = [(member.filename, member.CRC) for member in archive.infolist()]
    return f'checksum {zlib.crc32(repr(content).encode()):08x}'
