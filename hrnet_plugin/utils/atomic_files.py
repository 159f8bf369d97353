"""Atomic file writes and integrity checks."""

import os
import shutil
import zipfile
from pathlib import Path
from typing import BinaryIO

PARTIAL = '.part'


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file under another name in the same folder, to the disk itself, then rename it.

    Raises:
        OSError: it cannot be written: the disk is full, say. ``path`` is as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.{os.getpid()}{PARTIAL}')
    try:
        with partial.open('wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        free = shutil.disk_usage(path.parent).free
        raise OSError(
            error.errno,
            f'cannot write {path}: {error.strerror} ({len(data):,} bytes to write, {free:,} bytes '
            f'free in {path.parent}). What it held before, and other files, are untouched: mend '
            'the cause, then resume',
        ) from error


def _sync_folder(folder: Path) -> None:
    """Lets a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def partial_files(folder: str | Path) -> list[Path]:
    """What a process that was killed while writing has left in a folder."""
    return sorted(Path(folder).glob(f'*{PARTIAL}'))


def check_checksums(file: BinaryIO) -> None:
    """Raise a ValueError if a zip archive does not hold what was written to it.

    torch.load does not look at the checksums. An archive that is cut short, and files of
    torch < 1.6, are not known as archives here: torch.load finds what they lack.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f'{damaged} in it does not match its checksum')
    file.seek(0)
