"""Splits: reproducible, by video where names say so, and those of the source where it has any."""

from pathlib import Path

import pytest

from hrnet_plugin.datasets.importers.labels import (
    Image,
    Instance,
    Keypoint,
    Tally,
    split_of_name,
)
from hrnet_plugin.datasets.importers.splits import assign_splits, group_of_name

HERE = Path('labels.json')


def images(names: list[str], group: str | None = None, split: str | None = None) -> list[Image]:
    """Labelled images that are in no file."""
    return [
        Image(
            name,
            HERE,
            read=bytes,
            group=group,
            split=split,
            instances=[Instance({'nose': Keypoint(1, 2)})],
        )
        for name in names
    ]


def val_of(listed: list[Image]) -> list[str]:
    return [image.name for image in listed if image.split == 'val']


def test_seed_and_names_decide_alone() -> None:
    names = [f'{n}.jpg' for n in range(50)]
    chosen = []
    for order, seed in ((names, 0), (names[::-1], 0), (names, 1)):
        listed = images(order)
        assign_splits(listed, 0.2, seed, Tally())
        assert {image.split for image in listed} == {'train', 'val'}
        chosen.append({*val_of(listed)})
    assert len(chosen[0]) == 10
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize('val', [0.05, 0.3, 0.9])
@pytest.mark.parametrize('seed', range(5))
def test_frames_of_a_video_stay_together(val: float, seed: int) -> None:
    names = [f'clip{c}_frame_{n:03}.png' for c in range(6) for n in range(c + 1)]
    listed, tally = images(names), Tally()
    assign_splits(listed, val, seed, tally)
    splits = {}
    for image in listed:
        splits.setdefault(image.name.partition('_')[0], set()).add(image.split)
    assert len(splits) == 6
    assert all(len(each) == 1 for each in splits.values())
    assert 0 < len(val_of(listed)) < len(names)
    assert any('21 images are of 6 videos or sessions' in note for note in tally.notes)


def test_sessions_that_readers_know() -> None:
    listed = [*images(['1.png', '2.png'], 'monday'), *images(['3.png', '4.png'], 'tuesday')]
    assign_splits(listed, 0.25, 0, Tally())
    assert val_of(listed) in (['1.png', '2.png'], ['3.png', '4.png'])


def test_last_frames_of_the_only_video() -> None:
    listed, tally = images([f'frame_{n}.png' for n in range(10)]), Tally()
    assign_splits(listed, 0.2, 0, tally)
    assert val_of(listed) == ['frame_8.png', 'frame_9.png']
    assert 'its last frames are val' in tally.notes[0]


def test_val_has_labelled_images() -> None:
    for seed in range(20):
        listed = images(['a.jpg', 'b.jpg'])
        listed += [Image(f'{n}.jpg', HERE, read=bytes) for n in range(8)]
        assign_splits(listed, 0.1, seed, Tally())
        assert val_of(listed) in (['a.jpg'], ['b.jpg'])


@pytest.mark.parametrize(
    ('names', 'val', 'note'),
    [
        (['a.jpg', 'b.jpg'], 0, 'no val: --val is 0'),
        (['a.jpg'], 0.5, 'no val: fewer than two images have labelled keypoints'),
    ],
)
def test_no_val(names: list[str], val: float, note: str) -> None:
    listed, tally = images(names), Tally()
    assign_splits(listed, val, 0, tally)
    assert val_of(listed) == []
    assert tally.notes == [note]


def test_splits_of_the_source_are_kept() -> None:
    listed = [
        *images(['a.jpg'], split='val'),
        *images(['b.jpg'], split='test'),
        *images(['c.jpg'] * 9),
    ]
    tally = Tally()
    assign_splits(listed, 0.9, 0, tally)
    assert [image.split for image in listed] == ['val', 'test', *['train'] * 9]
    assert tally.notes[0] == '9 images are in no split of the source: they are added to train'


def test_val_is_drawn_where_the_source_has_only_train_and_test() -> None:
    listed = [*images(['t.jpg'], split='test'), *images([f'{n}.jpg' for n in range(10)])]
    assign_splits(listed, 0.2, 0, Tally())
    assert listed[0].split == 'test'
    assert len(val_of(listed)) == 2


@pytest.mark.parametrize(
    ('name', 'group'),
    [
        ('clip_mp4-12_jpg.rf.0a1b2c3d4e.jpg', 'clip'),
        ('clip_mp4-13_jpg.rf.ffffffffff.jpg', 'clip'),
        ('photo_jpg.rf.0a1b2c3d4e.jpg', 'photo_jpg'),
        ('day/clip.mp4_000012.jpg', 'day/clip'),
        ('day/clip_frame_12.png', 'day/clip'),
        ('day/clip-frm0012.png', 'day/clip'),
        ('day/frame_000012.PNG', 'day'),
        # Names that say nothing of a video
        ('000000000139.jpg', '000000000139'),
        ('IMG_0012.jpg', 'IMG_0012'),
        ('framework_3.jpg', 'framework_3'),
    ],
)
def test_videos_by_names(name: str, group: str) -> None:
    if 'clip.mp4' in name:
        group += '.mp4'
    assert group_of_name(name) == group


def test_splits_by_names() -> None:
    names = ['train', 'Training', 'person_keypoints_val2017', 'valid', 'test', 'TEST-1']
    assert [*map(split_of_name, names)] == ['train', 'train', 'val', 'val', 'test', 'test']
    assert [*map(split_of_name, ['trainer', 'train_val', 'mine', ''])] == [None] * 4
