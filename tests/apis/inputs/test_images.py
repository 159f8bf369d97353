"""Image files: bit depths, several frames, damaged files, sizes."""

import cv2
import numpy as np
import pytest
from support.video_files import cut, gray, save_gif

from hrnet_plugin.apis.inputs.images import frame_count, read_image
from hrnet_plugin.apis.inputs.report import InputReport


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)
    image[0, 0] = 255
    return image


@pytest.mark.parametrize('ending', ['png', 'tif', 'ppm'])
@pytest.mark.parametrize('bits', [8, 10, 12, 14])
def test_deep_files_are_scaled_by_the_bits_they_use(tmp_path, image, ending, bits):
    path = str(tmp_path / f'x.{ending}')
    deep = image.astype(np.uint16) << (bits - 8)
    assert cv2.imwrite(path, deep)
    np.testing.assert_array_equal(read_image(path), image)
    if bits == 12:
        assert cv2.imread(path).max() <= 16, 'a plain conversion reads it black'


@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_files_of_16_bits_are_read_as_opencv_does(tmp_path, image, ending):
    path = str(tmp_path / f'x.{ending}')
    cv2.imwrite(path, image.astype(np.uint16) << 8)
    np.testing.assert_array_equal(read_image(path), cv2.imread(path))


def test_gray_values_of_12_bits(tmp_path, image):
    path = str(tmp_path / 'x.tif')
    cv2.imwrite(path, image[..., 0].astype(np.uint16) << 4)
    np.testing.assert_array_equal(read_image(path), np.dstack([image[..., 0]] * 3))


@pytest.mark.parametrize('ending', ['png', 'tif', 'jpg', 'webp', 'bmp', 'jp2', 'avif'])
def test_files_of_8_bits_are_read_as_opencv_does(tmp_path, image, ending):
    path = str(tmp_path / f'x.{ending}')
    cv2.imwrite(path, image)
    np.testing.assert_array_equal(read_image(path), cv2.imread(path))


def test_values_that_cannot_be_scaled_are_an_error(tmp_path, image):
    path = str(tmp_path / 'x.tif')
    cv2.imwrite(path, image.astype(np.float32) / 255)
    with pytest.raises(
        ValueError, match=r'x.tif has values of type float32 from 0.0 to 1.0; expected integers'
    ):
        read_image(path)
    cv2.imwrite(path, image.astype(np.int16) - 9)
    with pytest.raises(ValueError, match=r'x.tif has values of type int16 from -9 to 246'):
        read_image(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (b'no image', 'cannot be read as an image: it is damaged, or not an image'),
        (b'\xff\xd8\xff\xe0', 'cannot be read as an image: the file is truncated'),
    ],
)
def test_files_that_are_not_images(tmp_path, content, message):
    (tmp_path / 'x.jpg').write_bytes(content)
    with pytest.raises(ValueError, match=f'x.jpg {message}'):
        read_image(str(tmp_path / 'x.jpg'))


def test_too_large_for_opencv(tmp_path):
    header = b'P5\n2000000 2000000\n255\n'
    (tmp_path / 'x.pgm').write_bytes(header)
    with pytest.raises(ValueError, match=r'x.pgm cannot be '):
        read_image(str(tmp_path / 'x.pgm'))


def test_of_several_frames_the_first_is_read_and_reported(tmp_path):
    report = InputReport(quiet=True)
    pages = str(tmp_path / 'pages.tif')
    cv2.imwritemulti(pages, [gray(0), gray(100), gray(200)])
    assert frame_count(pages) == 3
    assert read_image(pages, report).max() == 0
    assert read_image(str(save_gif(tmp_path / 'a.gif', [100, 100])), report).max() == 0
    cv2.imwrite(str(tmp_path / 'one.tif'), gray(7))
    read_image(str(tmp_path / 'one.tif'), report)
    assert report.notes == {
        'has 3 frames; only the first is read': [pages],
        'has 2 frames; only the first is read': [str(tmp_path / 'a.gif')],
    }
    with pytest.warns(UserWarning, match=r'pages.tif: has 3 frames'):
        read_image(pages, InputReport())


@pytest.mark.parametrize('ending', ['jpg', 'png', 'tif', 'webp'])
def test_truncated_files(tmp_path, image, ending):
    path = tmp_path / f'x.{ending}'
    cv2.imwrite(str(path), image)
    whole = len(path.read_bytes())
    for size in (whole - 20, whole // 2):
        with pytest.raises(ValueError, match=f'x.{ending} cannot be read as an image'):
            read_image(str(cut(path, size)))


def test_data_after_the_image_are_ignored(tmp_path, image):
    """Telephones append a film to a photograph; its bytes may look like JPEG's markers."""
    path = tmp_path / 'x.jpg'
    cv2.imwrite(str(path), image)
    expected = cv2.imread(str(path))
    path.write_bytes(path.read_bytes() + b'\0\xff\xda\0\x0cfilm')
    np.testing.assert_array_equal(read_image(str(path)), expected)
