"""Everything that may be given to look for people in."""

import cv2
import numpy as np
import pytest

from hrnet_plugin.apis.inference.inputs import Images, open_inputs


@pytest.fixture
def shots(tmp_path):
    for name in ('b.png', 'a.jpg', 'C.JPG', 'notes.txt'):
        path = tmp_path / name
        if path.suffix == '.txt':
            path.write_text('no picture')
        else:
            cv2.imwrite(str(path), np.full((4, 6, 3), 100, np.uint8))
    return tmp_path


def names(inputs):
    return [frame.name.rpartition('/')[2] for frame in open_inputs(inputs)]


def test_folders_patterns_and_lists(shots):
    assert names(str(shots)) == ['C.JPG', 'a.jpg', 'b.png']
    assert names(shots / '*.jpg') == ['a.jpg']
    assert names([shots / 'b.png', str(shots / 'a.jpg'), shots / '*.JPG']) == [
        'b.png',
        'a.jpg',
        'C.JPG',
    ]


def test_arrays_are_called_as_stock_calls_them():
    array = np.zeros((4, 6, 3), np.uint8)
    assert names(array) == ['000000.jpg']
    frames = list(open_inputs([array, array + 1]))
    assert [f.name for f in frames] == ['000000.jpg', '000001.jpg']
    assert [f.image[0, 0, 0] for f in frames] == [0, 1]


def test_video(clip):
    source = open_inputs(clip)
    assert (len(source), source.fps, source.is_video) == (11, 25, True)
    frames = list(source)
    assert [f.index for f in frames] == list(range(11))
    assert frames[3].image.shape == (240, 320, 3)
    assert len(list(source)) == 11  # again from the start


def test_what_was_opened_stays_as_it_is(shots):
    source = open_inputs(shots)
    assert open_inputs(source) is source


@pytest.mark.parametrize(
    ('given', 'error', 'message'),
    [
        ('a.jgp', FileNotFoundError, "did you mean 'a.jpg'"),
        ('none/a.jpg', FileNotFoundError, 'there is no folder'),
        ('*.gif', FileNotFoundError, 'no file is called like'),
        ('notes.txt', ValueError, 'notes.txt is no picture'),
        ('empty', ValueError, 'empty has no pictures'),
        ('film.mp4', FileNotFoundError, "unknown file in .* 'film.mp4'"),
        ('broken.mp4', OSError, 'broken.mp4 cannot be opened'),
    ],
)
def test_what_is_not_there(shots, given, error, message):
    (shots / 'empty').mkdir()
    (shots / 'broken.mp4').write_text('no video')
    with pytest.raises(error, match=message):
        open_inputs(shots / given)


@pytest.mark.parametrize(
    ('given', 'error', 'message'),
    [
        (np.zeros((4, 6), np.uint8), ValueError, r'shape \(4, 6\)'),
        (np.zeros((4, 6, 3)), ValueError, 'type float64'),
        ([3], TypeError, 'inputs have a int'),
        ('webcam:one', ValueError, "'webcam:one' names no camera"),
        ('webcam:99', OSError, 'camera 99 cannot be opened'),
    ],
)
def test_what_cannot_be_read(given, error, message):
    with pytest.raises(error, match=message):
        open_inputs(given)


def test_a_video_among_others(clip, shots):
    with pytest.raises(ValueError, match=r'clip.mp4 is a video; give one by itself'):
        open_inputs([shots, clip])


def test_one_bad_file_of_many_is_named_before_any_is_read(shots):
    (shots / 'bad.png').write_bytes(b'none')
    with pytest.raises(ValueError, match=r'bad.png is no picture'):
        open_inputs(shots)


def test_a_picture_that_breaks_off_is_named(shots):
    path = shots / 'b.png'
    path.write_bytes(path.read_bytes()[:20])
    source = open_inputs(shots)
    assert isinstance(source, Images)
    with pytest.raises(
        ValueError, match=r'b.png cannot be read as an image: the file is cut short'
    ):
        list(source)
