"""Truncated video files are recognized."""

import pytest
from support.video_files import cut, save_video

from hrnet_plugin.apis.inputs.containers import is_truncated

FORMATS = [('a.avi', 'MJPG'), ('a.mp4', 'mp4v'), ('a.mkv', 'mp4v')]


@pytest.mark.parametrize(('name', 'codec'), FORMATS)
def test_cut_files(tmp_path, name, codec):
    path = save_video(tmp_path / name, codec=codec)
    assert not is_truncated(path)
    whole = path.read_bytes()
    for share in (0.3, 0.9):
        path.write_bytes(whole)
        assert is_truncated(cut(path, int(share * len(whole))))


def ebml(head: bytes, body: bytes) -> bytes:
    return b'\x1a\x45\xdf\xa3\x80' + b'\x18\x53\x80\x67' + head + body


@pytest.mark.parametrize(
    ('content', 'truncated'),
    [
        (b'', False),
        (b'GIF89a', False),
        (b'RIFF\0\0\0\0AVI ', False),  # an unfinished recording
        (b'RIFF\x05\0\0\0AVI 1', False),  # an odd size without padding
        (b'RIFF\x04\0\0\0AVI RIFF\x40\0\0\0AVIX', True),  # the second of two
        (b'\0\0\0\x08ftyp\0\0\0\x01mdat\0\0\0\0\0\0\0\x14abcd', False),  # 64 bits
        (b'\0\0\0\x08ftyp\0\0\0\x01mdat\0\0\0\0\0\0\0\x24abcd', True),
        (b'\0\0\0\x08ftyp\0\0\0\0mdatabc', False),  # up to the end
        (ebml(b'\x84', b'abcd'), False),
        (ebml(b'\x40\x08', b'abcd'), True),
        (ebml(b'\x01' + b'\xff' * 7, b'abcd'), False),  # unknown size: a stream
    ],
)
def test_sizes(tmp_path, content, truncated):
    (tmp_path / 'file').write_bytes(content)
    assert is_truncated(tmp_path / 'file') == truncated
