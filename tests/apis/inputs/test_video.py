"""Frames of videos: damaged and truncated files, timestamps."""

import cv2
import numpy as np
import pytest
from support.video_files import cut, damage, frame_starts, save_gif, save_video

from hrnet_plugin.apis.inputs.report import InputReport
from hrnet_plugin.apis.inputs.sources import open_inputs
from hrnet_plugin.apis.inputs.video import Video, format_spans


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
        frames_read = []
        with pytest.raises(ValueError, match='frame 5 cannot be decoded'):
            frames_read.extend(frame.index for frame in open_inputs(path))
        assert frames_read == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize(('name', 'codec'), [('a.avi', 'MJPG'), ('a.mkv', 'MJPG')])
    def test_cut_files(self, tmp_path, report, name, codec):
        path = save_video(tmp_path / name, 12, codec)
        cut(path, frame_starts(path)[7])
        assert [index for index, *_ in read(Video(str(path), name, report))] == [*range(7)]
        assert report.unreadable == [
            f'{path}: 7 of 12 frames were read; it ends 5 frames early: the file is truncated or '
            'damaged'
        ]

    def test_an_mp4_without_its_index(self, tmp_path):
        path = save_video(tmp_path / 'a.mp4', codec='mp4v')
        cut(path, len(path.read_bytes()) // 2)
        with pytest.raises(OSError, match=r'a.mp4 cannot be opened by OpenCV: it is truncated'):
            open_inputs(path)

    def test_stopping_early_reports_the_damage_so_far(self, tmp_path, report):
        path = str(damage(save_video(tmp_path / 'a.avi'), 2))
        frames_read = iter(Video(path, path, report))
        assert [next(frames_read).index for _ in range(4)] == [0, 1, 3, 4]
        frames_read.close()
        assert len(report.unreadable) == 1


class TestTimestamps:
    def test_a_variable_frame_rate(self, tmp_path):
        source = open_inputs(save_gif(tmp_path / 'a.gif', [100, 300, 200]))
        assert (source.is_video, source.fps, len(source)) == (True, 5, 3)
        assert [frame.timestamp for frame in source] == pytest.approx([0, 0.1, 0.4])

    def test_images_have_none(self, tmp_path):
        cv2.imwrite(str(tmp_path / 'a.png'), np.full((4, 6, 3), 100, np.uint8))
        assert {frame.timestamp for frame in open_inputs(tmp_path / '*.png')} == {None}

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


def test_spans():
    assert format_spans([]) == ''
    assert format_spans([1, 2, 4, 6, 7, 8]) == '1-2, 4, 6-8'
    assert format_spans(range(0, 40, 2)).endswith('18, …')
