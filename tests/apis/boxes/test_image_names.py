"""Names and ids in a file are matched with inputs."""

import os
from pathlib import Path

import pytest

from hrnet_plugin.apis.boxes.image_names import match_ids, match_paths


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are not there: names alone decide."""
    (tmp_path / 'home').mkdir()
    monkeypatch.chdir(tmp_path / 'home')


def matched(inputs: list[str], names: list[str]) -> dict[str, str]:
    keys, mismatched = match_paths(inputs, {name: name for name in names})
    assert mismatched == []
    return keys


@pytest.mark.parametrize(
    ('inputs', 'names', 'expected'),
    [
        (['a/1.jpg', 'b/1.jpg'], ['b/1.jpg', 'a/1.jpg'], ['a/1.jpg', 'b/1.jpg']),
        (['x/a/1.jpg', 'x/b/1.jpg'], ['a/1.jpg', 'b/1.jpg'], ['a/1.jpg', 'b/1.jpg']),
        (['b/1.jpg'], ['a/1.jpg', 'b/1.jpg'], ['b/1.jpg']),
        (['1.jpg'], ['home/1.jpg', 'other/1.jpg'], ['home/1.jpg']),  # the folder we are in
        (['./x/../a/1.jpg'], ['a/1.jpg'], ['a/1.jpg']),
        (['x/a/1.jpg'], ['1.jpg', 'a/1.jpg'], ['a/1.jpg']),
        (['a/1.jpg', 'a/2.jpg'], ['1.jpg', '2.jpg'], ['1.jpg', '2.jpg']),
        (['a/1.jpg'], ['a\\1.jpg'], ['a\\1.jpg']),
        (['https://host/a/1.jpg'], ['a/1.jpg'], ['a/1.jpg']),
        (['a/1.jpg', 'a/2.jpg'], ['a/1.jpg', 'b/2.jpg'], ['a/1.jpg', None]),
        (['a/1.jpg', 'b/1.jpg'], ['a/1.jpg'], ['a/1.jpg', None]),
        (['1.jpg', '01.jpg', '1.png', '1.JPG'], ['1.jpg'], ['1.jpg', None, None, None]),
    ],
)
def test_paths(inputs: list[str], names: list[str], expected: list[str | None]) -> None:
    keys = matched(inputs, names)
    assert [keys.get(name) for name in inputs] == expected


def test_a_file_given_twice_is_one() -> None:
    absolute = os.path.abspath('a/1.jpg')
    assert matched(['a/1.jpg', absolute], ['1.jpg']) == {'a/1.jpg': '1.jpg', absolute: '1.jpg'}


@pytest.mark.parametrize(
    ('inputs', 'names', 'message'),
    [
        (['a/1.jpg', 'b/1.jpg'], ['1.jpg'], "file_name '1.jpg' may be any of a/1.jpg, b/1.jpg"),
        (['c/1.jpg'], ['a/1.jpg', 'b/1.jpg'], 'c/1.jpg may be any of a/1.jpg, b/1.jpg'),
        (['x/a/1.jpg', 'y/a/1.jpg'], ['a/1.jpg'], 'any of x/a/1.jpg, y/a/1.jpg'),
    ],
)
def test_ambiguous_paths(inputs: list[str], names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        matched(inputs, names)


def test_two_images_of_one_name() -> None:
    with pytest.raises(ValueError, match=r'2 images with the file_name of a/1\.jpg'):
        match_paths(['a/1.jpg'], {1: 'a/1.jpg', 2: 'a/1.jpg'})


def test_folders_of_another_place() -> None:
    """They are ignored, and reported, if no folder agrees."""
    keys, mismatched = match_paths(
        ['new/val/1.jpg', 'new/val/2.jpg', 'new/train/2.jpg'],
        {1: '/old/val/1.jpg', 2: '/old/val/2.jpg', 3: '/old/train/2.jpg'},
    )
    assert keys == {'new/val/1.jpg': 1, 'new/val/2.jpg': 2, 'new/train/2.jpg': 3}
    assert sorted(mismatched) == sorted(keys)


def test_ids() -> None:
    inputs = ['a/000007.jpg', 'b/8.png', 'c/x8.jpg', 'd/frame_01.jpg']
    assert match_ids(inputs, [7, '8', 'frame_01', 99, 'no']) == {
        'a/000007.jpg': 7,
        'b/8.png': '8',
        'd/frame_01.jpg': 'frame_01',
    }


@pytest.mark.parametrize(
    ('inputs', 'key'),
    [
        (['a/7.jpg', 'b/7.jpg'], 7),
        (['a/7.jpg', 'a/007.jpg'], 7),
        (['a/x.jpg', 'a/x.png'], 'x'),
    ],
)
def test_ambiguous_ids(inputs: list[str], key: int | str) -> None:
    assert match_ids(inputs, [5]) == {}
    with pytest.raises(ValueError, match=f'{key!r} may be any of {inputs[0]}, {inputs[1]}'):
        match_ids(inputs, [key])
