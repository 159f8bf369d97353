"""Images and videos in folders and of patterns, and what is left out there."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from .image_file import IMAGES, OPTIONAL, frame_count
from .report import InputReport, counted

VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv')
# Images that need another program; a note says so.
FOREIGN = ('.arw', '.cr2', '.cr3', '.dng', '.exr', '.heic', '.heif', '.jxl', '.nef', '.psd')
EXAMPLES = 3
VIDEO = 'video'


def is_video(path: str) -> bool:
    """Return whether a path is named like a video, or is a GIF of several frames."""
    if os.path.isdir(path):
        return False
    ending = Path(path).suffix.lower()
    return ending in VIDEOS or (ending == '.gif' and frame_count(path) > 1)


def is_image(path: str) -> bool:
    """Return whether a file is named like an image that this OpenCV can read."""
    ending = Path(path).suffix.lower()
    if ending in OPTIONAL and not cv2.haveImageReader(path):
        return False
    return ending in IMAGES


def list_folder(
    folder: str, report: InputReport, recursive: bool = False, videos: bool = False
) -> list[str]:
    """Return the images of a folder, sorted by path, and note what else is there.

    Args:
        folder: Its path.
        report: Takes the note.
        recursive: Look into subfolders, too.
        videos: Return videos, too.

    Raises:
        OSError: It cannot be listed.
        ValueError: There are none.
    """
    left_out = _LeftOut(folder, videos)
    found: list[str] = []
    for _, subfolders, files in _walk(folder):
        found += [path for path in files if left_out.keeps(path)]
        if not recursive:
            left_out.subfolders = subfolders
            break
    return _checked(sorted(found), folder, left_out, report)


def list_pattern(
    pattern: str, report: InputReport, recursive: bool = False, videos: bool = False
) -> list[str]:
    """Return the images that a pattern such as ``shots/*.jpg`` matches, sorted by path.

    Folders whose names have brackets are found by them, too. Arguments are as of ``list_folder``.

    Raises:
        FileNotFoundError: Nothing matches.
        ValueError: No images match.
    """
    matches = sorted(glob.glob(_escape_folders(pattern), recursive=True))
    if not matches:
        raise FileNotFoundError(f'no file is called like {pattern}')
    left_out = _LeftOut(os.path.dirname(pattern) or '.', videos)
    ending = Path(pattern).suffix
    named = bool(ending) and not glob.has_magic(ending)
    found: list[str] = []
    for match in matches:
        if not os.path.isdir(match):
            if left_out.keeps(match, named):
                found.append(match)
        elif recursive:
            found += [
                path for _, _, files in _walk(match) for path in files if left_out.keeps(path)
            ]
        elif '**' not in pattern:  # which looks into them by itself
            left_out.subfolders.append(match)
    return _checked(sorted(dict.fromkeys(found)), pattern, left_out, report)


class _LeftOut:
    """Files of a folder that are not read, and why."""

    def __init__(self, folder: str, videos: bool) -> None:
        self.folder = folder
        self.videos = videos
        self.subfolders: list[str] = []
        self.files: dict[str, list[str]] = {}

    def keeps(self, path: str, named: bool = False) -> bool:
        """Return whether to read a file; ``named``: its ending was asked for."""
        image, video = is_image(path), is_video(path)
        if Path(path).name.startswith('.'):
            if image or video:  # others are of no interest to anybody
                self._add('hidden', path)
            return False
        if video:
            if not self.videos:
                self._add(VIDEO, path)
            return self.videos
        if image:
            return True
        if named and os.path.isfile(path):
            return True
        self._add(Path(path).suffix.lower() or 'without an ending', path)
        return False

    def __str__(self) -> str:
        parts = [
            (counted(len(paths), kind) if kind == VIDEO else f'{len(paths)} {kind}')
            + f' ({self._examples(paths)})'
            for kind, paths in sorted(self.files.items())
        ]
        hints = []
        if self.subfolders:
            parts.append(
                f'{counted(len(self.subfolders), "subfolder")} ({self._examples(self.subfolders)})'
            )
            hints.append('--recursive, or a pattern such as folder/**/*.jpg, reads subfolders')
        if VIDEO in self.files:
            hints.append('a video has to be given by itself')
        foreign = [ending for ending in sorted(self.files) if ending in FOREIGN]
        if foreign:
            hints.append(f'OpenCV cannot read {", ".join(foreign)}: convert them to .jpg or .png')
        return '; '.join([', '.join(parts), *hints])

    def _add(self, kind: str, path: str) -> None:
        self.files.setdefault(kind, []).append(path)

    def _examples(self, paths: list[str]) -> str:
        names = [os.path.relpath(path, self.folder) for path in sorted(paths)[:EXAMPLES]]
        return ', '.join([*names, *['…'] * (len(paths) > EXAMPLES)])


def _checked(found: list[str], where: str, left_out: _LeftOut, report: InputReport) -> list[str]:
    rest = str(left_out)
    if not found:
        what = f'there are {rest}' if rest else 'it is empty'
        raise ValueError(f'{where} has no pictures that can be read: {what}')
    if rest:
        report.note(f'left out: {rest}', where)
    return found


def _walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder with the paths of its subfolders and files, each folder once."""

    def fail(error: OSError) -> None:
        raise error

    seen: set[str] = set()
    for root, names, files in os.walk(folder, onerror=fail, followlinks=True):
        seen.add(os.path.realpath(root))
        # Hidden folders hold thumbnails and settings; links may lead back.
        names[:] = sorted(
            name
            for name in names
            if not name.startswith('.') and os.path.realpath(os.path.join(root, name)) not in seen
        )
        yield root, [os.path.join(root, n) for n in names], [os.path.join(root, f) for f in files]


def _escape_folders(pattern: str) -> str:
    """Take the part of a pattern that exists as a folder literally."""
    folder = os.path.dirname(pattern)
    while folder and not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return glob.escape(folder) + pattern[len(folder) :] if os.path.isdir(folder) else pattern
