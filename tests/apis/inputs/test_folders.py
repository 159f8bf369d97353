"""Which files of folders and patterns are read, and which are reported as skipped."""

import cv2
import numpy as np
import pytest
from support.video_files import save_gif, save_video

from hrnet_plugin.apis.inputs.folders import is_video, list_folder, list_pattern
from hrnet_plugin.apis.inputs.report import InputReport


@pytest.fixture
def shots(tmp_path):
    """A folder as from a telephone."""
    folder = tmp_path / 'shots'
    (folder / 'sub').mkdir(parents=True)
    (folder / 'x.jpg').mkdir()
    image = np.full((32, 32, 3), 100, np.uint8)
    for name in ('a.JPG', 'b.jp2', 'c.avif', 'd.gif', 'x.jpg/e.png', 'sub/f.jpg', '.hidden.jpg'):
        assert cv2.imwrite(str(folder / name), image)
    save_video(folder / 'film.avi', 2)
    (folder / '1.HEIC').write_bytes(b'\0\0\0\x18ftypheic')
    (folder / '2.heic').write_bytes(b'\0\0\0\x18ftypheic')
    (folder / 'notes.txt').write_text('BM')
    (folder / '.settings').write_text('')
    return folder


@pytest.fixture
def report():
    return InputReport(quiet=True)


def names(paths, folder):
    return [path.removeprefix(f'{folder}/') for path in paths]


def test_images_are_read_and_the_rest_is_reported(shots, report):
    listed = names(list_folder(str(shots), report), shots)
    assert listed == ['a.JPG', 'b.jp2', 'c.avif', 'd.gif']
    ((message, where),) = report.notes.items()
    assert where == [str(shots)]
    assert message.startswith(
        'skipped: 2 .heic (1.HEIC, 2.heic), 1 .txt (notes.txt), 1 hidden (.hidden.jpg), '
        '1 video (film.avi), 2 subfolders (sub, x.jpg); '
    )
    for hint in ('--recursive', 'give a video by itself', 'convert them to .jpg'):
        assert hint in message


def test_subfolders_and_videos_if_asked_for(shots, report):
    (shots / 'sub/loop').symlink_to(shots)
    listed = names(list_folder(str(shots), report, recursive=True, videos=True), shots)
    assert listed == [
        *('a.JPG', 'b.jp2', 'c.avif', 'd.gif', 'film.avi', 'sub/f.jpg', 'x.jpg/e.png')
    ]
    (message,) = report.notes
    assert 'subfolder' not in message
    assert 'video' not in message


def test_many_are_counted(tmp_path, report):
    for i in range(9):
        (tmp_path / f'{i}.heic').write_text('')
    with pytest.raises(
        ValueError, match=r'has no readable images: .*9 .heic \(0.heic, 1.heic, 2.heic, …'
    ):
        list_folder(str(tmp_path), report)


def test_a_folder_of_nothing(tmp_path, report):
    with pytest.raises(ValueError, match='has no readable images: it is empty'):
        list_folder(str(tmp_path), report)


def test_patterns(shots, report):
    assert names(list_pattern(f'{shots}/*.jp*', report), shots) == ['b.jp2']
    assert 'x.jpg' in next(iter(report.notes))
    report.notes.clear()
    assert len(list_pattern(f'{shots}/*', report, videos=True)) == 5
    assert '.heic' in next(iter(report.notes))
    report.notes.clear()
    assert 'x.jpg/e.png' in names(list_pattern(f'{shots}/**/*', report), shots)
    assert 'subfolder' not in next(iter(report.notes))
    listed = list_pattern(f'{shots}/**/*.*', report, recursive=True)
    assert {'sub/f.jpg', 'x.jpg/e.png'} < set(names(listed, shots))
    assert len(listed) == len(set(listed)) == 6
    with pytest.raises(FileNotFoundError, match='no file matches'):
        list_pattern(f'{shots}/*.bmp', report)


def test_folders_with_brackets_are_taken_literally(shots, report):
    folder = shots.parent / 'shots [v1.2] ü'
    shots.rename(folder)
    assert names(list_pattern(f'{folder}/*.JPG', report), folder) == ['a.JPG']


def test_what_is_a_video(shots):
    assert is_video(str(shots / 'film.avi'))
    assert not is_video(str(shots / 'd.gif'))
    assert is_video(str(save_gif(shots / 'moves.gif', [100, 200])))
    (shots / 'folder.mp4').mkdir()
    assert not is_video(str(shots / 'folder.mp4'))
