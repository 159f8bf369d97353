"""Recognize truncated video files: AVI, MP4 and QuickTime, Matroska."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def is_truncated(path: str | Path) -> bool:
    """Return whether the outermost chunks of a video file reach beyond its end.

    Only their headers are read. Other formats, and containers that do not state their size
    (streams, unfinished recordings), count as complete.

    Raises:
        OSError: The file cannot be read.
    """
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
        head = file.read(12)
        if head[:4] == b'RIFF':
            return _chunks_exceed(file, size, _riff_chunk)
        if head[4:8] in (b'ftyp', b'moov', b'mdat', b'free', b'skip', b'wide'):
            return _chunks_exceed(file, size, _mp4_box)
        if head[:4] == b'\x1a\x45\xdf\xa3':
            return _chunks_exceed(file, size, _ebml_element)
    return False


def _chunks_exceed(file: BinaryIO, size: int, next_chunk: Callable[[bytes], int | None]) -> bool:
    start = 0
    while start < size:
        file.seek(start)
        length = next_chunk(file.read(20))
        if length is None:
            return False
        start += length
    return start - size > 1  # RIFF may leave out the padding of its last chunk


def _riff_chunk(head: bytes) -> int | None:
    length = int.from_bytes(head[4:8], 'little')
    # At the top, anything but RIFF is padding or damage; 0 is an unfinished recording.
    return 8 + length + length % 2 if head[:4] == b'RIFF' and length else None


def _mp4_box(head: bytes) -> int | None:
    length = int.from_bytes(head[:4], 'big')
    if length == 1:
        length = int.from_bytes(head[8:16], 'big')
    return length if length >= 8 else None  # 0: the box reaches to the end of the file


def _ebml_element(head: bytes) -> int | None:
    """Ids and sizes of Matroska are integers of variable length: RFC 8794, section 4."""
    id_length = _vint_length(head[:1])
    size_length = _vint_length(head[id_length : id_length + 1])
    if not id_length or not size_length:
        return None
    field = head[id_length : id_length + size_length]
    value = int.from_bytes(field, 'big') & ((1 << 7 * size_length) - 1)
    unknown = (1 << 7 * size_length) - 1
    return None if value == unknown else id_length + size_length + value


def _vint_length(first: bytes) -> int:
    return 9 - first[0].bit_length() if first and first[0] else 0
