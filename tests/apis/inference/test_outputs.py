"""Files that drawn images and videos are written to."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.video_files import gray, save_video

from hrnet_plugin.apis.inference.outputs import VideoFile, call_targets, drawn_paths
from hrnet_plugin.apis.inputs.images import Frame, Images
from hrnet_plugin.apis.inputs.video import Video


@pytest.fixture
def video(tmp_path):
    path = str(save_video(tmp_path / 'in/clip.avi', 2))
    return Video(path, path)


def test_folders_may_have_dots(tmp_path, video):
    images = Images(['a.jpg', 'b/x.gif'])
    for folder in ('v1.2', 'results_2026.11.26', 'new/run.1'):
        assert drawn_paths(images, f'{folder}') == [Path(folder, 'a.jpg'), Path(folder, 'x.png')]
        assert drawn_paths(video, f'{folder}') == [Path(folder, 'clip.mp4')]


def test_folders_may_be_named_like_files_if_they_are_there(tmp_path, video):
    folder = tmp_path / 'drawn.mp4'
    assert drawn_paths(video, str(folder)) == [folder]
    folder.mkdir()
    assert drawn_paths(video, str(folder)) == [folder / 'clip.mp4']
    assert drawn_paths(Images(['a.jpg']), str(folder)) == [folder / 'a.jpg']


@pytest.mark.parametrize('name', ['x.avi', 'x.JPG', 'x.png'])
def test_names_that_are_a_mistake(video, name):
    with pytest.raises(ValueError, match=r'expected a folder, or a name that ends in \.mp4'):
        drawn_paths(video, name)
    with pytest.raises(ValueError, match=r'expected a folder$'):
        drawn_paths(Images(['a.jpg']), name)


def test_files_for_folders(tmp_path, video):
    (tmp_path / 'file').write_text('')
    for target in ('file', 'file/x', 'file/x.mp4'):
        with pytest.raises(NotADirectoryError, match='file is a file'):
            drawn_paths(video, str(tmp_path / target))


def test_formats_that_cannot_be_written_become_png():
    images = Images(['a.gif', 'a.png', 'b.jp2', 'c.WEBP', 'd.tiff'])
    assert call_targets([images], 'o') == [
        [Path('o', n) for n in ('a.gif.png', 'a.png', 'b.png', 'c.WEBP', 'd.tiff')]
    ]


def test_videos_of_one_name_with_other_endings(tmp_path):
    videos = []
    for name, codec in (('x/clip.avi', 'MJPG'), ('x/clip.mkv', 'MJPG'), ('y/more.avi', 'MJPG')):
        path = str(save_video(tmp_path / name, 1, codec))
        videos.append(Video(path, path))
    assert call_targets(videos, 'o') == [
        [Path('o', name)] for name in ('clip.avi.mp4', 'clip.mkv.mp4', 'more.mp4')
    ]


class TestVideoFile:
    def write(self, path, images, times, fps=5.0) -> list[str]:
        notes: list[str] = []
        file = VideoFile(path, fps, notes.append)
        for i, (image, time) in enumerate(zip(images, times)):
            file.append(image, Frame(i, f'{i}.jpg', image, time))
        file.close()
        return notes

    def test_a_constant_rate(self, tmp_path):
        times = [0, 0.2, 0.401, 0.6]  # rounded, as containers do
        assert self.write(tmp_path / 'a.mp4', [gray(9)] * 4, times) == []

    def test_a_variable_rate_is_noted(self, tmp_path):
        (note,) = self.write(tmp_path / 'a.mp4', [gray(9)] * 4, [0, 0.1, 0.4, 0.6])
        assert note.startswith('has a variable frame rate (a frame lasts 100 to 300 ms)')
        assert '5 frames a second; results have the timestamp' in note

    def test_frames_of_another_size_are_not_lost(self, tmp_path):
        images = [gray(50), np.full((96, 64, 3), 150, np.uint8), gray(200)]
        (note,) = self.write(tmp_path / 'a.mp4', images, [0, 0.2, 0.4])
        assert note.startswith('1 frame of another size')
        capture = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
        values = [round(capture.read()[1].mean() / 50) for _ in images]
        assert values == [1, 3, 4]

    def test_frames_that_were_not_written_are_an_error(self, tmp_path):
        file = VideoFile(tmp_path / 'a.mp4', 5.0, print)
        for i in range(3):
            file.append(gray(i), Frame(i, '', gray(i), i / 5))
        file.num_written += 1  # as if the disk had no room for one
        with pytest.raises(OSError, match=r'a.mp4 has 3 of 4 frames: it could not be written'):
            file.close()
