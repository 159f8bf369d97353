"""Find image files by the names that annotations give them."""

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

import cv2

from .labels import Image, split_of_name

SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.jp2', '.png', '.pgm', '.ppm', '.tif', '.tiff', '.webp')
UPLOAD_PREFIX = re.compile('[0-9a-f]{8}-')  # Label Studio's, before the name of an uploaded file


def locate_images(images: Sequence[Image], folders: Sequence[Path]) -> None:
    """Set ``file`` of images that are to be searched; it stays None where there is none.

    A name may have folders that are no longer there, backslashes, escapes of a URL or a prefix.

    Args:
        images: Images, of which those without ``file`` and ``read`` are searched.
        folders: Where to search, also in subfolders.

    Raises:
        ValueError: Several files are as likely, or a file is of two images.
    """
    taken: dict[Path, Image] = {}
    for image in images:
        if image.file is not None:
            _take(image.file, image, taken)
    wanted = [image for image in images if image.file is None and image.read is None]
    rest = []
    for image in wanted:  # whole names first, so that no other image takes their files
        image.file = _whole_name(image, folders)
        if image.file is None:
            rest.append(image)
        else:
            _take(image.file, image, taken)
    if rest:
        index = _by_name(folders)
        for image in rest:
            image.file = _similar_name(image, index, taken)
            if image.file is not None:
                _take(image.file, image, taken)


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder and its subfolders, sorted."""
    return [path for path in files_of(folder) if path.suffix.lower() in SUFFIXES]


def files_of(folder: Path) -> list[Path]:
    """Return the files of a folder and its subfolders, sorted, without hidden ones."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(('.', '__MACOSX')))
        found += [Path(parent, name) for name in files if not name.startswith('.')]
    return sorted(found)


def output_names(images: Sequence[Image]) -> list[str]:
    """Return distinct relative paths, with as many folders as distinguish the images.

    Files keep their folders below the lowest one that all are in.
    """
    folders = [os.path.abspath(image.file.parent) for image in images if image.file]
    base = os.path.commonpath(folders) if folders else ''
    taken: set[str] = set()
    names = []
    for image in images:
        if image.file is not None:
            name = Path(os.path.relpath(os.path.abspath(image.file), base)).as_posix()
        else:
            parts = PurePosixPath(image.name.replace('\\', '/')).parts
            name = '/'.join(part.strip(':') for part in parts if part not in ('..', '/', '.'))
        path, number = PurePosixPath(name), 1
        while name in taken:
            number += 1
            name = path.with_stem(f'{path.stem}_{number}').as_posix()
        taken.add(name)
        names.append(name)
    return names


def image_size(path: Path) -> tuple[int, int] | None:
    """Return width and height as MMPose reads the image, upright; None if it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if image is None else (image.shape[1], image.shape[0])


def spellings(name: str) -> list[str]:
    """Return what a name may mean: itself, and without the escapes and the query of a URL.

    >>> spellings('a%20b.jpg')
    ['a%20b.jpg', 'a b.jpg']
    >>> spellings('/data/local-files/?d=cam1/a%20b.jpg')[-1]
    'cam1/a b.jpg'
    """
    plain = name.replace('\\', '/')
    found = [plain]
    try:
        parts = urlsplit(plain)
        query = parse_qs(parts.query).get('d', [])
    except ValueError:  # not a URL
        parts, query = None, []
    found.append(unquote(plain))
    if parts is not None and (parts.scheme or parts.query):
        found.append(unquote(parts.path))
    found += query
    for each in tuple(found):
        file = PurePosixPath(each).name
        if UPLOAD_PREFIX.match(file):
            found.append(UPLOAD_PREFIX.sub('', file, count=1))
    return list(dict.fromkeys(found))


def _take(file: Path, image: Image, taken: dict[Path, Image]) -> None:
    key = file.resolve()
    other = taken.setdefault(key, image)
    if other is not image:
        raise ValueError(
            f'{file} is annotated twice, as {other.name!r} in {other.annotated_in} and as '
            f'{image.name!r} in {image.annotated_in}; give one of the files, or the folder '
            'in which each has its own (--images)'
        )


def _whole_name(image: Image, folders: Sequence[Path]) -> Path | None:
    for name in spellings(image.name):
        for folder in (image.annotated_in.parent, *folders):
            try:
                path = Path(os.path.normpath(folder / name))
                if name and path.is_file():
                    return path
            except (OSError, ValueError):  # too long for a name of a file, or not one
                continue
    return None


def _by_name(folders: Sequence[Path]) -> dict[str, list[Path]]:
    index: dict[str, list[Path]] = {}
    for path in dict.fromkeys(path for folder in folders for path in image_files(folder)):
        index.setdefault(path.name, []).append(path)
    return index


def _similar_name(
    image: Image, index: dict[str, list[Path]], taken: dict[Path, Image]
) -> Path | None:
    """Return the file whose last folders are those of a name, as many as possible."""
    for name in spellings(image.name):
        parts = PurePosixPath(name).parts
        files = [p for p in index.get(PurePosixPath(name).name, []) if p.resolve() not in taken]
        if not files:
            continue
        ranks = [_likeness(path, parts, image) for path in files]
        best = [path for path, rank in zip(files, ranks) if rank == max(ranks)]
        if len(best) > 1:
            raise ValueError(
                f'{image.annotated_in}: image {image.name!r} may be {best[0]} or {best[1]}; give '
                'the folder in which names are distinct: --images'
            )
        return best[0]
    return None


def _likeness(path: Path, parts: Sequence[str], image: Image) -> tuple[int, bool, int]:
    """Return how well a file fits a name, by its last folders, its split and its place."""
    in_split = image.split is not None and image.split in map(split_of_name, path.parts)
    near = _common(image.annotated_in.parent.parts, path.parts)
    return _common(parts[::-1], path.parts[::-1]), in_split, near


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many first parts are the same."""
    count = 0
    for a, b in zip(one, other):
        if a != b:
            break
        count += 1
    return count
