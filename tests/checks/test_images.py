"""check_images: missing, damaged and dark images, and those of another size."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_plugin.checks import ImageRecord, check_images
from hrnet_plugin.checks.images import is_cut_short


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    for name in ('good.jpg', 'good.png', 'short.jpg', 'short.png', 'large.jpg'):
        cv2.imwrite(str(tmp_path / name), noise)
    for name in ('short.jpg', 'short.png'):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    # The thumbnail of a file ends before its image does.
    data = (tmp_path / 'short.jpg').read_bytes()
    thumbnail = b'\xff\xe1\x00\x08\xff\xda\x00\x00\xff\xd9'
    (tmp_path / 'short.jpg').write_bytes(data[:2] + thumbnail + data[2:])
    (tmp_path / 'text.jpg').write_text('no image')
    (tmp_path / 'empty.jpg').write_bytes(b'')
    return tmp_path


def test_images(folder: Path) -> None:
    images = [ImageRecord(p.name, p.name, (96, 64)) for p in sorted(folder.iterdir())]
    images[images.index(ImageRecord('large.jpg', 'large.jpg', (96, 64)))] = ImageRecord(
        5, 'large.jpg', (64, 96)
    )
    images.append(ImageRecord(9, 'nowhere.jpg', None))
    calls: list[int] = []
    found = check_images(folder, images, done=lambda: calls.append(1))
    assert len(calls) == len(images) == 8
    messages = {f.message: f.examples for f in found}
    bad = {name for examples in messages.values() for name in examples}
    assert not any('good' in name for name in bad)
    assert messages['the image does not exist'] == ('image nowhere.jpg',)
    assert messages['the image has another size (w, h) than the annotations say'] == (
        'image large.jpg (96, 64), not (64, 96); it is turned by its EXIF orientation',
    )
    assert messages['the image cannot be decoded'] == ('image empty.jpg', 'image text.jpg')
    assert messages['the image file is cut short'] == ('image short.jpg', 'image short.png')


@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_images_of_fewer_bits_than_their_file(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint16)
    noise[0] = 255
    for bits in (8, 10, 12, 14, 16):
        cv2.imwrite(str(tmp_path / f'{bits:02}.{ending}'), noise << (bits - 8))
    cv2.imwrite(str(tmp_path / f'usual.{ending}'), noise.astype(np.uint8))
    images = [ImageRecord(p.name, p.name, (32, 24)) for p in sorted(tmp_path.iterdir())]
    (finding,) = check_images(tmp_path, images)
    assert 'MMPose keeps the upper 8 and reads it almost black' in finding.message
    assert not finding.is_error
    assert finding.count == 4
    assert finding.examples == tuple(
        f'image {bits:02}.{ending} ({bits} of 16 bits)' for bits in (8, 10, 12)
    )


def test_an_image_followed_by_a_video_is_not_cut_short(folder: Path) -> None:
    """Such a file may end in what looks like the beginning of a scan."""
    path = folder / 'good.jpg'
    path.write_bytes(path.read_bytes() + b'\0\0\0\x18ftypmp42\xff\xda\0\x0c')
    assert check_images(folder, [ImageRecord(1, 'good.jpg', (96, 64))]) == []


@pytest.mark.parametrize('flag', [cv2.IMWRITE_JPEG_PROGRESSIVE, cv2.IMWRITE_JPEG_RST_INTERVAL])
def test_jpegs_of_several_scans_and_with_restarts(tmp_path: Path, flag: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'x.jpg'), noise, [flag, 1])
    data = (tmp_path / 'x.jpg').read_bytes()
    assert not is_cut_short(data)
    cuts = range(4, len(data) - 2, 97)
    assert len(cuts) > 50
    assert all(is_cut_short(data[:cut]) for cut in cuts)


def test_images_are_not_read_unless_asked_for(folder: Path) -> None:
    images = [ImageRecord(1, 'text.jpg', None), ImageRecord(2, 'nowhere.jpg', None)]
    (finding,) = check_images(folder, images, read=False)
    assert (finding.message, finding.count) == ('the image does not exist', 1)
