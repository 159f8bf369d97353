"""Images, folders, patterns, arrays and lists as inputs; several inputs together."""

import cv2
import numpy as np
import pytest
from support.video_files import save_video

from hrnet_plugin.apis.inputs.images import Images
from hrnet_plugin.apis.inputs.report import InputReport
from hrnet_plugin.apis.inputs.sources import open_inputs, open_sources


@pytest.fixture
def shots(tmp_path):
    for name in ('b.png', 'a.jpg', 'C.JPG', 'notes.txt'):
        path = tmp_path / name
        if path.suffix == '.txt':
            path.write_text('not an image')
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


def test_an_open_source_is_returned(shots):
    source = open_inputs(shots)
    assert open_inputs(source) is source


@pytest.mark.parametrize(
    ('given', 'error', 'message'),
    [
        ('a.jgp', FileNotFoundError, "did you mean 'a.jpg'"),
        ('none/a.jpg', FileNotFoundError, 'there is no folder'),
        ('*.gif', FileNotFoundError, 'no file matches'),
        ('notes.txt', ValueError, 'notes.txt is not an image'),
        ('empty', ValueError, 'empty has no readable images'),
        ('film.mp4', FileNotFoundError, "unknown file in .* 'film.mp4'"),
        ('broken.mp4', OSError, 'broken.mp4 cannot be opened'),
    ],
)
def test_missing_inputs(shots, given, error, message):
    (shots / 'empty').mkdir()
    (shots / 'broken.mp4').write_text('no video')
    with pytest.raises(error, match=message):
        open_inputs(shots / given)


@pytest.mark.parametrize(
    ('given', 'error', 'message'),
    [
        (np.zeros((4, 6), np.uint8), ValueError, r'shape \(4, 6\)'),
        (np.zeros((4, 6, 3)), ValueError, 'type float64'),
        ([3], TypeError, 'inputs contain a int'),
        ('webcam:one', ValueError, "'webcam:one' is not a camera"),
        ('webcam:99', OSError, 'camera 99 cannot be opened'),
    ],
)
def test_unreadable_inputs(given, error, message):
    with pytest.raises(error, match=message):
        open_inputs(given)


def test_a_video_among_others(clip, shots):
    with pytest.raises(ValueError, match=r'clip.mp4 is a video: give it by itself'):
        open_inputs([shots, clip])


def test_one_bad_file_of_many_is_named_before_any_is_read(shots):
    (shots / 'bad.png').write_bytes(b'none')
    with pytest.raises(ValueError, match=r'bad.png is not an image'):
        open_inputs(shots)


def test_a_truncated_image_is_named(shots):
    path = shots / 'b.png'
    path.write_bytes(path.read_bytes()[:20])
    source = open_inputs(shots)
    assert isinstance(source, Images)
    with pytest.raises(
        ValueError, match=r'b.png cannot be read as an image: the file is truncated'
    ):
        list(source)


@pytest.fixture
def report():
    return InputReport(strict=False, quiet=True)


class TestUnreadableImages:
    def test_the_others_keep_their_index(self, shots, report):
        (shots / 'b.png').write_bytes(b'none')
        source = open_inputs(shots, report)
        assert [(f.index, f.name[-5:]) for f in source] == [(0, 'C.JPG'), (1, 'a.jpg')]
        assert report.unreadable == [
            f'{shots / "b.png"} cannot be read as an image: it is damaged, or not an image'
        ]

    def test_warnings_name_them(self, shots):
        (shots / 'b.png').write_bytes(b'')
        with pytest.warns(UserWarning, match=r'skipped: .*b.png is empty'):
            assert len(list(open_inputs([shots / 'b.png'], InputReport(strict=False)))) == 0


class TestSources:
    def test_images_and_videos_of_one_name(self, tmp_path, shots, report):
        paths = [save_video(tmp_path / f'{folder}/clip.avi', 3) for folder in ('x', 'y')]
        cv2.imwrite(str(tmp_path / 'x/a.jpg'), np.full((4, 6, 3), 100, np.uint8))
        inputs = [*map(str, paths), str(shots / 'a.jpg'), str(tmp_path / 'x')]
        images, *videos = open_sources(inputs, report)
        assert images.labels == [f'{shots.name}/a.jpg', 'x/a.jpg']
        assert [video.labels for video in videos] == [['x/clip.avi'], ['y/clip.avi']]
        assert report.notes == {'1 file given more than once, and read once': ['inputs']}

    def test_patterns_of_videos(self, tmp_path, report):
        for name in 'ab':
            save_video(tmp_path / f'{name}.avi', 2)
        sources = open_sources([str(tmp_path / '*.avi')], report)
        assert [source.names[0][-5:] for source in sources] == ['a.avi', 'b.avi']

    def test_one_bad_video_of_several(self, tmp_path, report):
        save_video(tmp_path / 'a.avi', 2)
        (tmp_path / 'b.avi').write_bytes(b'none')
        (source,) = open_sources([str(tmp_path)], report)
        assert source.labels == ['a.avi']
        assert 'b.avi cannot be opened' in report.unreadable[0]
        with pytest.raises(ValueError, match=r'none of the inputs can be read: .*b.avi cannot be'):
            open_sources([str(tmp_path / 'b.avi')], InputReport(strict=False, quiet=True))
        with pytest.raises(OSError, match=r'b.avi cannot be opened'):
            open_sources([str(tmp_path)], InputReport(quiet=True))

    @pytest.mark.parametrize(
        ('given', 'message'),
        [
            ('notes.txt', 'notes.txt is not an image that OpenCV can read$'),
            ('x.heic', 'x.heic is not an image that OpenCV can read; convert it to .jpg or .png'),
            ('notes.txt/a.jpg', 'notes.txt is a file, not a folder'),
            ('none.mp4', 'none.mp4'),
        ],
    )
    def test_inputs_given_by_name_have_to_exist(self, shots, report, given, message):
        (shots / 'x.heic').write_bytes(b'\0\0\0\x18ftypheic\0\0\0\0mif1heic')
        with pytest.raises((ValueError, OSError), match=message):
            open_sources([str(shots / given)], report)

    def test_urls_of_videos(self, report):
        with pytest.raises(FileNotFoundError, match='is the URL of a video: download it'):
            open_sources(['https://a.b/c.mp4'], report)

    def test_an_empty_name(self, report):
        with pytest.raises(ValueError, match="an input is ''"):
            open_sources([''], report)

    def test_folders_named_like_files(self, tmp_path, report):
        for name in ('x.jpg', 'x.mp4'):
            (tmp_path / name).mkdir()
            cv2.imwrite(str(tmp_path / name / 'ü b.jpg'), np.full((4, 6, 3), 100, np.uint8))
        (images,) = open_sources([str(tmp_path / 'x.jpg'), str(tmp_path / 'x.mp4')], report)
        assert images.labels == ['x.jpg/ü b.jpg', 'x.mp4/ü b.jpg']
        assert len(list(images)) == 2
