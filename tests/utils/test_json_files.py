"""JSON files in every encoding; errors of one line with file, position and cause."""

import json
import tracemalloc
from pathlib import Path

import pytest

from hrnet_plugin.utils.json_files import HEAD, json_encoding, read_json

VALUE = {'names': ['é', '左眼'], 'numbers': [1, 2.5, None]}


@pytest.mark.parametrize(
    ('encoding', 'name'),
    [
        ('utf-8', 'UTF-8'),
        ('utf-8-sig', 'UTF-8 with a byte order mark'),
        ('utf-16', 'UTF-16'),
        ('utf-16-le', 'UTF-16'),
        ('utf-16-be', 'UTF-16'),
        ('utf-32', 'UTF-32'),
    ],
)
@pytest.mark.parametrize('length', [0, HEAD])  # shorter and longer than the first bytes
def test_reads_every_encoding(tmp_path: Path, encoding: str, name: str, length: int) -> None:
    value = dict(VALUE, more='é' * length)
    path = tmp_path / 'a.json'
    path.write_bytes(json.dumps(value, ensure_ascii=False).encode(encoding))
    assert read_json(path) == value
    assert json_encoding(path) == name


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'', 'it is empty'),
        (b'[1, 2', 'line 1, column 6: it ends too early'),
        (b'{\n"a": "b', 'line 2, column 6: it ends too early'),
        (b"{'a': 1}", 'line 1, column 2: Expecting property name'),
        (b'{"a": 1}\n{"a": 2}\n', 'line 2, column 1: another value follows the first'),
        (b'{"a": 1}\n' * HEAD, 'line 2, column 1: another value follows the first'),
        (b'[1, x, ' + b' ' * 2 * HEAD, "line 1, column 5: Expecting value at 'x,"),
        (b'["' + b'a' * 2 * HEAD, 'it ends too early'),
        (b'["\xe9"]', 'byte 2 is not UTF-8 (invalid continuation byte)'),
        ('["é"]'.encode('utf-16')[:-1], 'is not UTF-16 (truncated data)'),
        (b'3', "it begins with '3'; expected a dict"),
        (b'id,name\n1,a', "it begins with 'id,name"),
        (b'\0\0\0 ftypisom', 'it is an MP4 or MOV video'),
        (b'PK\x03\x04', 'it is a zip archive, as checkpoints are'),
        (b'<!DOCTYPE html>', 'it is a web page'),
        (b'[' * 10**5, 'nested too deeply'),
        (b'[' + b'7' * 5000 + b']', '5000 digits'),
    ],
)
def test_refuses_anything_else(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / 'a.json'
    path.write_bytes(data)
    with pytest.raises(ValueError, match='cannot be read as JSON') as caught:
        read_json(path)
    text = str(caught.value)
    assert text.startswith(f'{path} ')
    assert message in text
    assert len(text.splitlines()) == 1


def test_refuses_a_large_file_by_its_beginning(tmp_path: Path) -> None:
    """The first characters of 200 megabytes are not JSON: the rest is not read."""
    path = tmp_path / 'video.json'
    with path.open('wb') as file:
        file.write(b'[0.5, \0')
        file.truncate(200 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match='line 1, column 7: Expecting value'):
            read_json(path)
        assert tracemalloc.get_traced_memory()[1] < 10 * HEAD
    finally:
        tracemalloc.stop()


def test_names_a_file_that_does_not_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(_: str) -> None:
        raise MemoryError

    path = tmp_path / 'a.json'
    path.write_text('[1]')
    monkeypatch.setattr('hrnet_plugin.utils.json_files.json.loads', no_memory)
    with pytest.raises(ValueError, match='its 3 bytes do not fit into memory'):
        read_json(path)


def test_missing_files_are_os_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'a\.json'):
        read_json(tmp_path / 'a.json')
    with pytest.raises(IsADirectoryError):
        read_json(tmp_path)
