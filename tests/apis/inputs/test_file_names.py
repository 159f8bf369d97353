"""Names that tell inputs and their files apart."""

import os
from pathlib import Path

import pytest

from hrnet_plugin.apis.inputs.file_names import (
    check_out_folder,
    check_targets,
    distinct_files,
    distinct_names,
)


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['a/x.jpg', 'b/y.jpg'], ['x.jpg', 'y.jpg']),
        (['a/x.jpg', 'b/x.jpg', 'b/y.jpg'], ['a/x.jpg', 'b/x.jpg', 'y.jpg']),
        (['1/a/x.jpg', '2/a/x.jpg', 'b/x.jpg'], ['1/a/x.jpg', '2/a/x.jpg', 'b/x.jpg']),
        (['/a/x.jpg', '/b/a/x.jpg'], ['a/x.jpg', 'b/a/x.jpg']),
        (['/x.jpg', '/a/x.jpg'], ['x.jpg', 'a/x.jpg']),
        (['x.jpg', '../other/x.jpg'], [f'{Path.cwd().name}/x.jpg', 'other/x.jpg']),
        ([], []),
    ],
)
def test_shortest_part_that_distinguishes(paths, names):
    assert distinct_names(paths) == names
    assert not any(os.path.isabs(name) or '..' in name for name in names)


def test_the_same_file_twice_cannot_be_distinguished():
    with pytest.raises(ValueError, match=r'\./a/x\.jpg is given twice|a/x\.jpg is given twice'):
        distinct_names(['a/x.jpg', 'b/x.jpg', './a/x.jpg'])


@pytest.mark.parametrize(
    ('names', 'files'),
    [
        (['x.avi', 'y.mp4'], ['x.mp4', 'y.mp4']),
        (['x.avi', 'x.mp4'], ['x.avi.mp4', 'x.mp4']),
        (['x.avi', 'x.mkv'], ['x.avi.mp4', 'x.mkv.mp4']),
        (['a/x.avi', 'b/x.avi'], ['a/x.mp4', 'b/x.mp4']),
        (['x.avi', 'x.mkv', 'x.avi.mp4'], ['x.avi.mp4.mp4', 'x.mkv.mp4', 'x.avi.mp4']),
    ],
)
def test_files_with_another_suffix_are_distinct_too(names, files):
    assert distinct_files(names, lambda name: '.mp4') == files
    assert len(set(files)) == len(names)


def test_out_folder_is_no_file(tmp_path):
    (tmp_path / 'file').write_text('')
    check_out_folder('--out', tmp_path)
    check_out_folder('--out', tmp_path / 'new/v1.2')
    for folder in ('file', 'file/below/it'):
        with pytest.raises(NotADirectoryError, match=r"--out='.*file.*file is a file; give the"):
            check_out_folder('--out', tmp_path / folder)


def test_targets_are_neither_inputs_nor_folders(tmp_path):
    (tmp_path / 'x.jpg').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path)
    check_targets('out', [tmp_path / 'a.jpg'], [str(tmp_path / 'b.jpg')])
    with pytest.raises(ValueError, match=r'b.jpg would be overwritten; choose another out'):
        check_targets('out', [tmp_path / 'link/b.jpg'], [str(tmp_path / 'b.jpg')])
    with pytest.raises(
        IsADirectoryError, match=r'x.jpg cannot be written: a folder has that name'
    ):
        check_targets('out', [tmp_path / 'x.jpg'], [])
