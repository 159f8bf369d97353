"""Split images into train and val: frames of a video or session stay together."""

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import PurePosixPath

from .images import output_names
from .labels import Image, Tally

VIDEO = 'avi|m4v|mkv|mov|mp4|mpeg|mpg|webm|wmv'
# Names of frames, with the video that they are of
FRAME_NAMES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf'(?P<video>.+)_(?:{VIDEO})-\d+(?:_(?:jpe?g|png))?',  # Roboflow: clip_mp4-12_jpg
        rf'(?P<video>.+\.(?:{VIDEO}))[._ -]+\d+',  # clip.mp4_12
        r'(?P<video>.+?)[._ -]+(?:frame|frm)[._ -]*\d+',  # clip_frame_12
        r'(?P<video>)(?:frame|frm)[._ -]*\d+',  # frame_12, of the video that its folder is
    )
)
# Roboflow's augmented copies of an image: a_jpg.rf.HASH.jpg
AUGMENTED = re.compile(r'\.rf\.[0-9A-Za-z]{8,}$')


def group_of_name(name: str) -> str:
    """Return the video that an image is a frame of, by its name; else the name.

    >>> group_of_name('day1/clip_frame_0012.png'), group_of_name('day1/frame_12.png')
    ('day1/clip', 'day1')
    >>> group_of_name('clip_mp4-12_jpg.rf.0a1b2c3d4e.jpg'), group_of_name('000000000139.jpg')
    ('clip', '000000000139')
    """
    path = PurePosixPath(name.replace('\\', '/')).with_suffix('')
    stem = AUGMENTED.sub('', path.name)
    for pattern in FRAME_NAMES:
        if match := pattern.fullmatch(stem):
            stem = match['video']
            break
    return (path.parent / stem).as_posix()


def assign_splits(images: Sequence[Image], val: float, seed: int, tally: Tally) -> None:
    """Give each image without one a split; splits of the source are kept.

    Args:
        images: The images; ``split`` is set.
        val: The share of val, from 0 to below 1.
        seed: Which groups are val follows from it and their names alone.
        tally: Where notes are added.
    """
    if any(image.split == 'val' for image in images):
        missing = [image for image in images if image.split is None]
        if missing:
            tally.notes.append(
                f'{len(missing)} images are in no split of the source: they are added to train'
            )
        tally.notes.append('splits of the source are kept: --val and --seed are not used')
        for image in missing:
            image.split = 'train'
        return
    free = [image for image in images if image.split != 'test']
    for image in free:
        image.split = 'train'
    labelled = [image for image in free if _is_labelled(image)]
    target = min(max(round(val * len(free)), 1), len(free) - 1)
    if not val or len(labelled) < 2:
        reason = '--val is 0' if not val else 'fewer than two images have labelled keypoints'
        tally.notes.append(f'no val: {reason}')
        return
    groups: dict[str, list[Image]] = {}
    # Names as they are written, which do not depend on where the source is
    for image, name in zip(free, output_names(free)):
        groups.setdefault(image.group or group_of_name(name), []).append(image)
    choices = [name for name, group in groups.items() if any(map(_is_labelled, group))]
    if len(choices) == 1:
        tally.notes.append(
            f'all labelled images are of one video ({choices[0]!r}): its last frames are val'
        )
        chosen = labelled[-min(target, len(labelled) - 1) :]
    else:
        chosen = _choose({name: groups[name] for name in choices}, target, seed)
        if len(groups) < len(free):
            tally.notes.append(
                f'{len(free)} images are of {len(groups)} videos or sessions, each of which is in '
                f'one split: {len(chosen)} images are val'
            )
    for image in chosen:
        image.split = 'val'


def _is_labelled(image: Image) -> bool:
    return any(instance.points for instance in image.instances)


def _choose(groups: dict[str, list[Image]], target: int, seed: int) -> list[Image]:
    """Return the images of some groups but not of all: ``target``, or as many as fit."""
    order = sorted(groups, key=lambda name: sha256(f'{seed}:{name}'.encode()).digest())
    chosen: list[Image] = []
    for name in order[:-1]:
        if len(chosen) + len(groups[name]) <= target:
            chosen += groups[name]
    return chosen or min((groups[name] for name in order), key=len)
