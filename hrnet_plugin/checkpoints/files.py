"""Checkpoint files: read with torch's safe loader, written whole or not at all."""

import io
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from ..utils.atomic_files import check_checksums, write_atomically
from .safe_globals import allow_mmengine_checkpoints

# What the safe loader refuses, as its messages name it
REFUSED = re.compile(r"(?:GLOBAL|but got|function|attribute) ([\w.]+|'\w+'|<[^>]+>)")


def read_checkpoint(path: str | Path) -> Any:
    """Load a checkpoint to the CPU: tensors, plain types and those that MMEngine writes.

    Raises:
        OSError: no file can be opened there.
        ValueError: the file is cut short or damaged, is no checkpoint, or holds other types.
    """
    path = Path(path)
    with path.open('rb') as file:
        try:
            check_checksums(file)
            allow_mmengine_checkpoints()  # other code may have cleared what importing allowed
            return torch.load(file, map_location='cpu', weights_only=True)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file can fail in any way
            raise ValueError(explain(path, error)) from error


def explain(path: Path, error: Exception) -> str:
    """Word what went wrong in loading ``path``, and how to mend it."""
    message = str(error).rpartition('WeightsUnpickler error:')[2].strip()
    refused = REFUSED.search(message) if isinstance(error, pickle.UnpicklingError) else None
    if refused:
        return (
            f'{path} holds {refused[1]}, which the safe loader refuses: unpickling it '
            'could run any code. If you trust where the file is from, save its weights alone in '
            "the environment that wrote it, torch.save(torch.load(FILE)['state_dict'], NEW), and "
            'convert NEW'
        )
    with path.open('rb') as file:
        if file.read(64).lstrip().startswith(b'<'):
            return f'{path} is a web page: the download went wrong, fetch the file again'
    reason = message.splitlines()[0].split('. ')[0] if message else 'it ends too early'
    return (
        f'{path} is cut short, damaged or no checkpoint ({reason}): fetch or copy it again, and '
        'compare its size or checksum with the original'
    )


def check_target(path: str | Path, overwrite: bool) -> None:
    """Raise a ValueError or an OSError if no checkpoint can be written to ``path``."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder; expected the name of a file')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'{path.parent} is no folder: make it first')
    if path.exists() and not overwrite:
        raise ValueError(f'{path} exists already; --overwrite (overwrite=True) replaces it')


def write_checkpoint(path: str | Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint so that ``path`` holds all of it or what it held before."""
    file = io.BytesIO()  # given a name instead, torch would write the name into the archive
    torch.save(checkpoint, file)
    write_atomically(path, file.getvalue())
