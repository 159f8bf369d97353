"""Atomic file writes and integrity checks."""

import os
import shutil
import zipfile
from pathlib import Path
from typing import BinaryIO

PARTIAL = '.part'


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write and sync a temporary file in the same folder, then rename it.

    Args:
        path: File to write or replace; its folder is created.
        data: Content of the file.

    Raises:
        OSError: The file cannot be written, for example as the disk is full; ``path`` is
            unchanged.
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
            f'free in {path.parent}). Its former content and other files are unchanged: fix the '
            'cause, then resume',
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def partial_files(folder: str | Path) -> list[Path]:
    """List the temporary files that killed processes have left in a folder."""
    return sorted(Path(folder).glob(f'*{PARTIAL}'))


def check_checksums(file: BinaryIO) -> None:
    """Compare a zip archive with its checksums, which torch.load does not do.

    Truncated archives and files of torch < 1.6 are not recognised as archives and pass: loading
    them shows what they lack.

    Args:
        file: Open file; its position is the beginning afterwards.

    Raises:
        ValueError: A member of the archive does not match its checksum.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            corrupt = archive.testzip()
        if corrupt is not None:
            raise ValueError(f'{corrupt} in it does not match its checksum')
    file.seek(0)
