"""Everything that may be given to look for people in."""

import cv2
import numpy as np
import pytest
from support.video_files import cut, damage, frame_starts, save_gif, save_video

from hrnet_plugin.apis.inputs.report import InputReport
from hrnet_plugin.apis.inputs.sources import Images, Video, open_inputs, open_sources, spans


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


@pytest.fixture
def report():
    return InputReport(strict=False, quiet=True)


def read(source) -> list[tuple[int, float, int]]:
    """Index, timestamp and gray value (in steps of 20) of each frame."""
    return [(f.index, f.timestamp, round(f.image.mean() / 20)) for f in source]


def frames(*indices) -> list[tuple[int, float, int]]:
    return [(i, pytest.approx(i / 5), i) for i in indices]


class TestDamagedVideos:
    def test_a_whole_one(self, tmp_path, report):
        assert read(Video(str(save_video(tmp_path / 'a.avi')), 'a', report)) == frames(*range(12))
        assert report.lines() == []

    @pytest.mark.parametrize(
        ('damaged', 'text'),
        [
            ([0], 'a.avi: 11 of 12 frames were read; frame 0 cannot be decoded'),
            ([5], 'a.avi: 11 of 12 frames were read; frame 5 cannot be decoded'),
            ([3, 6, 7, 8], 'a.avi: 8 of 12 frames were read; frames 3, 6-8 cannot be decoded'),
            ([11], 'a.avi: 11 of 12 frames were read; it ends 1 frame early'),
            ([4, 10, 11], 'frame 4 cannot be decoded; it ends 2 frames early'),
        ],
    )
    def test_frames_around_the_damage_keep_their_numbers(self, tmp_path, report, damaged, text):
        path = str(damage(save_video(tmp_path / 'a.avi'), *damaged))
        expected = frames(*(i for i in range(12) if i not in damaged))
        assert read(Video(path, path, report)) == expected
        assert len(report.unreadable) == 1
        assert text in report.unreadable[0]

    def test_strict_stops_at_the_damage(self, tmp_path):
        path = str(damage(save_video(tmp_path / 'a.avi'), 5))
        found = []
        with pytest.raises(ValueError, match='frame 5 cannot be decoded'):
            found.extend(frame.index for frame in open_inputs(path))
        assert found == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize(('name', 'codec'), [('a.avi', 'MJPG'), ('a.mkv', 'MJPG')])
    def test_cut_files(self, tmp_path, report, name, codec):
        path = save_video(tmp_path / name, 12, codec)
        cut(path, frame_starts(path)[7])
        assert [index for index, *_ in read(Video(str(path), name, report))] == [*range(7)]
        assert report.unreadable == [
            f'{path}: 7 of 12 frames were read; it ends 5 frames early: the file is cut short or '
            'damaged'
        ]

    def test_an_mp4_without_its_index(self, tmp_path):
        path = save_video(tmp_path / 'a.mp4', codec='mp4v')
        cut(path, len(path.read_bytes()) // 2)
        with pytest.raises(OSError, match=r'a.mp4 cannot be opened by OpenCV: it is cut short'):
            open_inputs(path)

    def test_who_stops_early_hears_of_the_damage_so_far(self, tmp_path, report):
        path = str(damage(save_video(tmp_path / 'a.avi'), 2))
        found = iter(Video(path, path, report))
        assert [next(found).index for _ in range(4)] == [0, 1, 3, 4]
        found.close()
        assert len(report.unreadable) == 1


class TestTimestamps:
    def test_a_variable_frame_rate(self, tmp_path):
        source = open_inputs(save_gif(tmp_path / 'a.gif', [100, 300, 200]))
        assert (source.is_video, source.fps, len(source)) == (True, 5, 3)
        assert [frame.timestamp for frame in source] == pytest.approx([0, 0.1, 0.4])

    def test_images_have_none(self, shots):
        assert {frame.timestamp for frame in open_inputs(shots / '*.png')} == {None}

    def test_a_container_that_states_a_unit_for_its_rate(self, tmp_path, monkeypatch):
        path = str(save_video(tmp_path / 'a.avi'))
        opened = cv2.VideoCapture

        class Capture:
            def __init__(self, path):
                self.capture = opened(path)
                self.read, self.release = self.capture.read, self.capture.release
                self.isOpened = self.capture.isOpened

            def get(self, what):
                return 1000.0 if what == cv2.CAP_PROP_FPS else self.capture.get(what)

        monkeypatch.setattr(cv2, 'VideoCapture', Capture)
        assert Video(path, path).fps == pytest.approx(5)


class TestUnreadableImages:
    def test_the_others_keep_their_index(self, shots, report):
        (shots / 'b.png').write_bytes(b'none')
        source = open_inputs(shots, report)
        assert [(f.index, f.name[-5:]) for f in source] == [(0, 'C.JPG'), (1, 'a.jpg')]
        assert report.unreadable == [
            f'{shots / "b.png"} cannot be read as an image: damaged or none at all'
        ]

    def test_warnings_name_them(self, shots):
        (shots / 'b.png').write_bytes(b'')
        with pytest.warns(UserWarning, match=r'left out: .*b.png is empty'):
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
            ('notes.txt', 'notes.txt is no picture that OpenCV can read$'),
            ('x.heic', 'x.heic is no picture that OpenCV can read; convert it to .jpg or .png'),
            ('notes.txt/a.jpg', 'notes.txt is a file, no folder'),
            ('none.mp4', 'none.mp4'),
        ],
    )
    def test_what_is_asked_for_by_name_has_to_be_there(self, shots, report, given, message):
        (shots / 'x.heic').write_bytes(b'\0\0\0\x18ftypheic\0\0\0\0mif1heic')
        with pytest.raises((ValueError, OSError), match=message):
            open_sources([str(shots / given)], report)

    def test_addresses_of_videos(self, report):
        with pytest.raises(FileNotFoundError, match='is the address of a video, which is not f'):
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


def test_spans():
    assert spans([]) == ''
    assert spans([1, 2, 4, 6, 7, 8]) == '1-2, 4, 6-8'
    assert spans(range(0, 40, 2)).endswith('18, …')
