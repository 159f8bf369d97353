"""Reading of JSON files from other tools, with errors of one line that name file and cause."""

import codecs
import json
from pathlib import Path
from typing import Any, BinaryIO

# Bytes to read before all of a large file: enough to recognise other kinds of files
HEAD = 1 << 16
# Characters at the end of these bytes in which an error may be due to their end
LONGEST_TOKEN = 16
QUOTED = 40  # characters of a file that an error quotes

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, 'UTF-8 with a byte order mark'),
    (codecs.BOM_UTF32_LE, 'UTF-32'),
    (codecs.BOM_UTF32_BE, 'UTF-32'),
    (codecs.BOM_UTF16_LE, 'UTF-16'),
    (codecs.BOM_UTF16_BE, 'UTF-16'),
)
# First bytes of other kinds of files
SIGNATURES = (
    (b'PK\x03\x04', 'a zip archive, as checkpoints are'),
    (b'\x80\x02', 'a pickle, as old checkpoints are'),
    (b'\x1f\x8b', 'a gzip archive: unpack it'),
    (b'\xff\xd8\xff', 'a JPEG image'),
    (b'\x89PNG', 'a PNG image'),
    (b'\x89HDF', 'an HDF5 file'),
    (b'MATLAB', 'a MATLAB file'),
    (b'RIFF', 'an AVI video or a WebP image'),
    (b'\x1aE\xdf\xa3', 'a Matroska video'),
    (b'<', 'a web page or XML'),
    (b'version https://git-lfs', 'a pointer of Git LFS: fetch the file itself with git lfs pull'),
)


def read_json(path: str | Path) -> Any:
    """Read a JSON file that holds a dict or a list, in UTF-8, UTF-16 or UTF-32.

    Large files of another kind are recognised by their first bytes.

    Args:
        path: File to read.

    Returns:
        The dict or list.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is not such a file, or does not fit into memory; the message is one line
            with path, position and cause.
    """
    with open(path, 'rb') as file:
        try:
            return _read(file)
        except MemoryError:
            size = Path(path).stat().st_size
            raise ValueError(
                f'{path} cannot be read as JSON: its {size:,} bytes do not fit into memory'
            ) from None
        except ValueError as error:
            raise ValueError(f'{path} cannot be read as JSON: {error}') from error


def json_encoding(path: str | Path) -> str:
    """Return the encoding of a JSON file in words, such as ``'UTF-8'``.

    Most readers, including MMPose's, accept only UTF-8 without a byte order mark.

    Args:
        path: File to read.

    Raises:
        OSError: The file cannot be opened.
    """
    with open(path, 'rb') as file:
        head = file.read(4)
    marked = next((name for mark, name in BYTE_ORDER_MARKS if head.startswith(mark)), None)
    return marked or json.detect_encoding(head).upper().removesuffix('-LE').removesuffix('-BE')


def _read(file: BinaryIO) -> Any:
    head = file.read(HEAD)
    encoding = json.detect_encoding(head)
    start = codecs.getincrementaldecoder(encoding)(errors='replace').decode(head).lstrip()
    _check_start(head, start)
    if len(head) == HEAD:
        _check_beginning(start)
    data = head + file.read()
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f'byte {error.start:,} is not {encoding.upper()} ({error.reason}); save it as UTF-8'
        ) from None
    del data
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError('lists or dicts are nested too deeply') from None
    except json.JSONDecodeError as error:
        raise ValueError(_explain(error)) from None


def _check_start(head: bytes, start: str) -> None:
    """Raise a ValueError if a file does not begin like a dict or a list."""
    if start.startswith(('{', '[')):
        return
    kind = next((kind for mark, kind in SIGNATURES if head.lstrip().startswith(mark)), None)
    if head[4:8] == b'ftyp':
        kind = 'an MP4 or MOV video, or a HEIC image'
    if kind is not None:
        raise ValueError(f'it is {kind}')
    if not start:
        raise ValueError('it is empty')
    raise ValueError(f'it begins with {start[:QUOTED]!r}; expected a dict, {{…}}, or a list, […]')


def _check_beginning(start: str) -> None:
    """Raise a ValueError if the first characters of a longer file are not JSON."""
    try:
        _, end = json.JSONDecoder().raw_decode(start)
    except RecursionError:
        raise ValueError('lists or dicts are nested too deeply') from None
    except json.JSONDecodeError as error:
        if error.pos < len(start) - LONGEST_TOKEN and 'Unterminated' not in error.msg:
            raise ValueError(_explain(error)) from None
    else:
        if rest := start[end:].lstrip():
            place = len(start) - len(rest)
            raise ValueError(_explain(json.JSONDecodeError('Extra data', start, place)))


def _explain(error: json.JSONDecodeError) -> str:
    """Describe an error and its position on one line."""
    place = f'line {error.lineno}, column {error.colno}'
    if error.msg.startswith('Extra data'):
        return f'{place}: another value follows the first; expected a single dict or list'
    rest = error.doc[error.pos :].lstrip()
    if not rest or error.msg.startswith('Unterminated'):
        return f'{place}: it ends too early ({error.msg}); was it cut short?'
    return f'{place}: {error.msg} at {rest[:QUOTED]!r}'
