"""List images and videos of folders and patterns, and report the files that are skipped."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from .images import IMAGES, OPTIONAL, frame_count
from .report import InputReport, counted

VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv')
# Image formats that OpenCV cannot read
UNSUPPORTED = ('.arw', '.cr2', '.cr3', '.dng', '.exr', '.heic', '.heif', '.jxl', '.nef', '.psd')
MAX_EXAMPLES = 3
VIDEO = 'video'


def is_video(path: str) -> bool:
    """Return whether a path has a video's suffix or is a GIF of several frames."""
    if os.path.isdir(path):
        return False
    suffix = Path(path).suffix.lower()
    return suffix in VIDEOS or (suffix == '.gif' and frame_count(path) > 1)


def is_image(path: str) -> bool:
    """Return whether a file has the suffix of an image that this OpenCV can read."""
    suffix = Path(path).suffix.lower()
    if suffix in OPTIONAL and not cv2.haveImageReader(path):
        return False
    return suffix in IMAGES


def list_folder(
    folder: str, report: InputReport, recursive: bool = False, videos: bool = False
) -> list[str]:
    """List the images of a folder, and report the files that are skipped.

    Args:
        folder: Path of the folder.
        report: Report that takes a note of skipped files.
        recursive: Whether to list subfolders, too.
        videos: Whether to list videos, too.

    Returns:
        Paths, sorted.

    Raises:
        OSError: The folder cannot be listed.
        ValueError: It has no such files.
    """
    skipped = _Skipped(folder, videos)
    paths: list[str] = []
    for _, subfolders, files in _walk(folder):
        paths += [path for path in files if skipped.keeps(path)]
        if not recursive:
            skipped.subfolders = subfolders
            break
    return _checked(sorted(paths), folder, skipped, report)


def list_pattern(
    pattern: str, report: InputReport, recursive: bool = False, videos: bool = False
) -> list[str]:
    """List the images that match a pattern, and report the matches that are skipped.

    Brackets in the name of a folder that exists are taken literally.

    Args:
        pattern: Pattern such as ``shots/*.jpg``.
        report: Report that takes a note of skipped files.
        recursive: Whether to list folders that match, too.
        videos: Whether to list videos, too.

    Returns:
        Paths, sorted.

    Raises:
        FileNotFoundError: Nothing matches.
        ValueError: No image matches.
    """
    matches = sorted(glob.glob(_escape_folders(pattern), recursive=True))
    if not matches:
        raise FileNotFoundError(f'no file matches {pattern}')
    skipped = _Skipped(os.path.dirname(pattern) or '.', videos)
    suffix = Path(pattern).suffix
    named = bool(suffix) and not glob.has_magic(suffix)
    paths: list[str] = []
    for match in matches:
        if not os.path.isdir(match):
            if skipped.keeps(match, named):
                paths.append(match)
        elif recursive:
            paths += [
                path for _, _, files in _walk(match) for path in files if skipped.keeps(path)
            ]
        elif '**' not in pattern:  # which lists them itself
            skipped.subfolders.append(match)
    return _checked(sorted(dict.fromkeys(paths)), pattern, skipped, report)


class _Skipped:
    """Files of a folder that are not read, by reason."""

    def __init__(self, folder: str, videos: bool) -> None:
        self.folder = folder
        self.videos = videos
        self.subfolders: list[str] = []
        self.files: dict[str, list[str]] = {}

    def keeps(self, path: str, named: bool = False) -> bool:
        """Return whether to read a file; ``named`` if the pattern names its suffix."""
        image, video = is_image(path), is_video(path)
        if Path(path).name.startswith('.'):
            if image or video:
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
        self._add(Path(path).suffix.lower() or 'without a suffix', path)
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
            hints.append('give a video by itself')
        unsupported = [suffix for suffix in sorted(self.files) if suffix in UNSUPPORTED]
        if unsupported:
            hints.append(
                f'OpenCV cannot read {", ".join(unsupported)}: convert them to .jpg or .png'
            )
        return '; '.join([', '.join(parts), *hints])

    def _add(self, kind: str, path: str) -> None:
        self.files.setdefault(kind, []).append(path)

    def _examples(self, paths: list[str]) -> str:
        names = [os.path.relpath(path, self.folder) for path in sorted(paths)[:MAX_EXAMPLES]]
        return ', '.join([*names, *['…'] * (len(paths) > MAX_EXAMPLES)])


def _checked(paths: list[str], where: str, skipped: _Skipped, report: InputReport) -> list[str]:
    rest = str(skipped)
    if not paths:
        content = f'it has {rest}' if rest else 'it is empty'
        raise ValueError(f'{where} has no readable images: {content}')
    if rest:
        report.note(f'skipped: {rest}', where)
    return paths


def _walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder once, with the paths of its subfolders and files."""

    def fail(error: OSError) -> None:
        raise error

    seen: set[str] = set()
    for root, names, files in os.walk(folder, onerror=fail, followlinks=True):
        seen.add(os.path.realpath(root))
        # Hidden folders hold thumbnails and settings; links may lead back up.
        names[:] = sorted(
            name
            for name in names
            if not name.startswith('.') and os.path.realpath(os.path.join(root, name)) not in seen
        )
        yield root, [os.path.join(root, n) for n in names], [os.path.join(root, f) for f in files]


def _escape_folders(pattern: str) -> str:
    """Escape the part of a pattern that exists as a folder."""
    folder = os.path.dirname(pattern)
    while folder and not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return glob.escape(folder) + pattern[len(folder) :] if os.path.isdir(folder) else pattern
