"""The formats that can be imported, a row each, and how they are recognised."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ...utils.errors import unknown_name
from .deeplabcut import collected_data
from .images import files_of
from .labels import Labels, Source

HEAD = 1 << 16  # bytes of a file by which it is recognised


@dataclass(frozen=True)
class Format:
    """A format of annotations.

    Attributes:
        title: What it is called, with its files.
        find: Returns the annotation files among files.
        reader: Module and function that read them.
    """

    title: str
    find: Callable[[Sequence[Path]], list[Path]]
    reader: str

    def read(self, source: Source) -> Labels:
        """Read a source."""
        module, _, name = self.reader.partition(':')
        labels: Labels = getattr(import_module(f'.{module}', __package__), name)(source)
        return labels


def json_kind(file: Path) -> str | None:
    """Return the format that the beginning of a JSON file looks like."""
    with file.open('rb') as opened:
        head = opened.read(HEAD)
    text = head.decode(json.detect_encoding(head), errors='replace').lstrip('\ufeff \t\r\n')
    if not text.startswith(('{', '[')):
        return None
    keys = {*re.findall(r'"(\w+)"\s*:', text)}
    is_task = 'data' in keys and keys & {'annotations', 'completions', 'result', 'predictions'}
    if is_task or (text.startswith('[') and 'original_width' in keys):  # or JSON-MIN
        return 'label-studio'
    if text.startswith('['):
        return None
    if keys & {'shapes', 'imagePath'}:
        return 'labelme'
    return 'coco' if keys & {'images', 'annotations', 'categories'} else None


def _of_json(kind: str) -> Callable[[Sequence[Path]], list[Path]]:
    def find(files: Sequence[Path]) -> list[Path]:
        return [f for f in files if f.suffix.lower() == '.json' and json_kind(f) == kind]

    return find


def _containing(suffixes: tuple[str, ...], mark: bytes) -> Callable[[Sequence[Path]], list[Path]]:
    """Return a function that finds files with a suffix whose beginning has a mark."""

    def find(files: Sequence[Path]) -> list[Path]:
        found = []
        for file in files:
            if file.suffix.lower() in suffixes:
                with file.open('rb') as opened:
                    if mark in opened.read(HEAD):
                        found.append(file)
        return found

    return find


def _with_suffix(suffix: str) -> Callable[[Sequence[Path]], list[Path]]:
    return lambda files: [file for file in files if file.suffix.lower() == suffix]


FORMATS: dict[str, Format] = {
    'coco': Format('COCO keypoints, *.json', _of_json('coco'), 'coco:read_coco'),
    'cvat': Format(
        'CVAT for images 1.1, *.xml', _containing(('.xml',), b'<annotations'), 'cvat:read_cvat'
    ),
    'label-studio': Format(
        'Label Studio, *.json', _of_json('label-studio'), 'label_studio:read_label_studio'
    ),
    'labelme': Format('LabelMe, *.json', _of_json('labelme'), 'labelme:read_labelme'),
    'yolo-pose': Format(
        'YOLO-pose, data.yaml',
        _containing(('.yaml', '.yml'), b'kpt_shape'),
        'yolo_pose:read_yolo_pose',
    ),
    'deeplabcut': Format(
        'DeepLabCut, CollectedData_*.csv or .h5',
        lambda files: list(collected_data(list(files))),
        'deeplabcut:read_deeplabcut',
    ),
    'sleap': Format('SLEAP, *.slp', _with_suffix('.slp'), 'sleap:read_sleap'),
}


def known_formats() -> str:
    """Describe the formats in one line."""
    return '; '.join(f'{name} ({row.title})' for name, row in FORMATS.items())


def recognise(path: Path, name: str | None = None) -> tuple[str, tuple[Path, ...]]:
    """Find out the format of a file or folder.

    Args:
        path: The file or folder.
        name: The format, if it is known.

    Returns:
        The format, and its annotation files.

    Raises:
        OSError: There is no such file or folder.
        ValueError: No format is recognised, or several are.
    """
    if name is not None and name not in FORMATS:
        raise ValueError(unknown_name('format', name, FORMATS))
    if not path.exists():
        raise FileNotFoundError(f'{path} does not exist; expected a file or folder of annotations')
    files = files_of(path) if path.is_dir() else [path]
    found = {
        key: tuple(files_found)
        for key, row in FORMATS.items()
        if name in (None, key) and (files_found := row.find(files))
    }
    if name is not None and not found and path.is_file():
        return name, (path,)  # its reader says what is wrong
    if not found:
        what = f'no file of {FORMATS[name].title}' if name else 'no format is recognised'
        raise ValueError(f'{path}: {what}. Known are: {known_formats()}')
    if len(found) > 1:
        candidates = ', '.join(f'{key} ({files[0]})' for key, files in found.items())
        raise ValueError(
            f'{path} has files of several formats: {candidates}; choose one with --format, or '
            'give a file'
        )
    return next(iter(found.items()))
