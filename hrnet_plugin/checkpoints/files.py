"""Safe loading and atomic writing of checkpoint files."""

import io
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from ..utils.atomic_files import check_checksums, write_atomically
from .safe_globals import allow_mmengine_checkpoints

# The type or function that the safe loader refuses, in its error messages
REFUSED = re.compile(r"(?:GLOBAL|but got|function|attribute) ([\w.]+|'\w+'|<[^>]+>)")


def read_checkpoint(path: str | Path) -> Any:
    """Load a checkpoint to the CPU with torch's safe loader.

    Args:
        path: File of tensors, plain types and the types that MMEngine writes.

    Returns:
        The content of the file.

    Raises:
        OSError: The file cannot be opened.
        ValueError: The file is truncated or corrupt, is not a checkpoint, or has other types.
    """
    path = Path(path)
    with path.open('rb') as file:
        try:
            check_checksums(file)
            allow_mmengine_checkpoints()  # other code may have cleared the list
            return torch.load(file, map_location='cpu', weights_only=True)
        except MemoryError:
            raise
        except Exception as error:  # a corrupt file can fail in any way
            raise ValueError(_explain(path, error)) from error


def _explain(path: Path, error: Exception) -> str:
    """Explain why ``path`` could not be loaded, and how to fix it."""
    message = str(error).rpartition('WeightsUnpickler error:')[2].strip()
    refused = REFUSED.search(message) if isinstance(error, pickle.UnpicklingError) else None
    if refused:
        return (
            f'{path} holds {refused[1]}, which the safe loader refuses: unpickling it could run '
            'any code. If you trust the source of the file, save only its weights in the '
            "environment that wrote it, torch.save(torch.load(FILE)['state_dict'], NEW), and "
            'convert NEW'
        )
    with path.open('rb') as file:
        if file.read(64).lstrip().startswith(b'<'):
            return f'{path} is a web page: the download failed, fetch the file again'
    reason = message.splitlines()[0].split('. ')[0] if message else 'it ends too early'
    return (
        f'{path} is cut short, corrupt or not a checkpoint ({reason}): fetch or copy it again, '
        'and compare its size or checksum with the original'
    )


def check_target(path: str | Path, overwrite: bool) -> None:
    """Check that a checkpoint can be written to ``path``.

    Raises:
        OSError: It is a folder, or its own folder does not exist.
        ValueError: It exists, and may not be overwritten.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder; expected the name of a file')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'{path.parent} does not exist: create the folder first')
    if path.exists() and not overwrite:
        raise ValueError(f'{path} exists already; --overwrite (overwrite=True) replaces it')


def write_checkpoint(path: str | Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint atomically; ``path`` keeps its content if writing fails."""
    file = io.BytesIO()  # torch would write the name of a file into the archive
    torch.save(checkpoint, file)
    write_atomically(path, file.getvalue())
