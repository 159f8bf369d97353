"""SLEAP's files, which sleap-io writes here: images, packages and videos."""

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.imports import SIZE, points_of, rows_of, write_images

from hrnet_plugin.apis import import_dataset

sleap_io = pytest.importorskip('sleap_io')

NAN = np.nan
# Frame -> instances, of three keypoints each
POINTS = {
    1: [[[1.5, 2.25], [NAN, NAN], [5, 6]], [[NAN, NAN], [NAN, NAN], [25, 26]]],
    3: [[[11, 12], [13, 14], [15, 16]]],
}
EXPECTED = {
    1: [
        ('mouse', {'snout': (1.5, 2.25, 1), 'paw_r': (5, 6, 2)}),
        ('mouse', {'paw_r': (25, 26, 2)}),
    ],
    3: [('mouse', {'snout': (11, 12, 1), 'paw_l': (13, 14, 2), 'paw_r': (15, 16, 2)})],
}


def labels(video: Any, predicted: bool = False) -> Any:
    """Return labels of a video, whose snouts are hidden."""
    skeleton = sleap_io.Skeleton(
        ['snout', 'paw_l', 'paw_r'],
        edges=[('snout', 'paw_l')],
        symmetries=[('paw_l', 'paw_r')],
        name='mouse',
    )
    frames = []
    for number, people in POINTS.items():
        instances = []
        for points in people:
            instance = sleap_io.Instance.from_numpy(np.array(points), skeleton=skeleton)
            instance.points['visible'][0] = False
            instances.append(instance)
        if predicted:
            points = np.array([[1, 2], [3, 4], [NAN, NAN]])
            instances.append(sleap_io.PredictedInstance.from_numpy(points, skeleton=skeleton))
        frames.append(sleap_io.LabeledFrame(video=video, frame_idx=number, instances=instances))
    return sleap_io.Labels(frames)


@pytest.fixture
def frames(tmp_path: Path) -> list[str]:
    write_images(tmp_path / 'clip', [f'{n}.png' for n in range(5)])
    return [str(tmp_path / f'clip/{n}.png') for n in range(5)]


def test_frames_that_are_images(tmp_path: Path, frames: list[str]) -> None:
    labels(sleap_io.Video.from_filename(frames)).save(str(tmp_path / 'a.slp'), verbose=False)
    result = import_dataset(tmp_path / 'a.slp', tmp_path / 'data')
    assert points_of(result.folder) == {f'{n}.png': EXPECTED[n] for n in POINTS}
    assert result.left_out == []
    assert (result.folder / 'images/1.png').resolve() == Path(frames[1])
    (category,) = rows_of(result.folder, 'train', 'categories')
    assert category['skeleton'] == [[1, 2]]
    assert "'swap': 'paw_r'" in result.metainfo.read_text()
    assert any("of one video ('clip')" in note for note in result.notes)


def test_packages_contain_their_frames(tmp_path: Path, frames: list[str]) -> None:
    path = tmp_path / 'a.pkg.slp'
    labels(sleap_io.Video.from_filename(frames)).save(str(path), embed=True, verbose=False)
    expected = {n: cv2.imread(frames[n]) for n in POINTS}
    for frame in frames:
        Path(frame).unlink()
    result = import_dataset(path, tmp_path / 'data')
    assert points_of(result.folder) == {f'clip/{n:06d}.png': EXPECTED[n] for n in POINTS}
    for n, image in expected.items():
        written = cv2.imread(str(result.folder / f'images/clip/{n:06d}.png'))
        assert np.array_equal(written, image)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A video of frames that are each of one grey."""
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, SIZE)
    for n in range(5):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 40 * n, np.uint8))
    writer.release()
    return path


def test_frames_of_videos_are_written(tmp_path: Path, video: Path) -> None:
    path = tmp_path / 'labels/a.slp'
    path.parent.mkdir()
    labels(sleap_io.Video.from_filename(str(video))).save(str(path), verbose=False)
    (tmp_path / 'videos').mkdir()
    video.rename(tmp_path / 'videos/clip.avi')
    with pytest.raises(FileNotFoundError, match=r'clip.avi is not there.*--images'):
        import_dataset(path, tmp_path / 'data')
    assert not (tmp_path / 'data').exists()
    result = import_dataset(path, tmp_path / 'data', images=tmp_path / 'videos')
    assert points_of(result.folder) == {f'clip/{n:06d}.png': EXPECTED[n] for n in POINTS}
    for n in POINTS:
        image = cv2.imread(str(result.folder / f'images/clip/{n:06d}.png'))
        assert abs(image.mean() - 40 * n) < 3


def test_predictions_are_counted_and_left_out(tmp_path: Path, frames: list[str]) -> None:
    content = labels(sleap_io.Video.from_filename(frames), predicted=True)
    content.save(str(tmp_path / 'a.slp'), verbose=False)
    result = import_dataset(tmp_path / 'a.slp', tmp_path / 'data')
    assert points_of(result.folder) == {f'{n}.png': EXPECTED[n] for n in POINTS}
    assert result.left_out[0].startswith(
        'predicted instances, which no annotator has corrected: 2x'
    )
    assert result.found == (2, 5, 6 + 4)


def test_a_frame_is_labelled_once(tmp_path: Path, frames: list[str]) -> None:
    content = labels(sleap_io.Video.from_filename(frames))
    (tmp_path / 'labels').mkdir()
    for name in ('v1.slp', 'v2.slp'):
        content.save(str(tmp_path / f'labels/{name}'), verbose=False)
    with pytest.raises(ValueError, match=r'frame 1 of .* is labelled twice, in .*v1.slp and in'):
        import_dataset(tmp_path / 'labels', tmp_path / 'data')


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / 'a.slp').write_bytes(b'\x89HDF\r\n\x1a\n' + bytes(100))
    with pytest.raises(ValueError, match=r'a.slp cannot be read as a file of SLEAP'):
        import_dataset(tmp_path / 'a.slp', tmp_path / 'data')


def test_without_sleap_io(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'a.slp').write_bytes(b'')
    monkeypatch.setitem(sys.modules, 'sleap_io', None)
    with pytest.raises(ImportError, match='pip install sleap-io'):
        import_dataset(tmp_path / 'a.slp', tmp_path / 'data')
