"""Check the parts of COCO's format; errors name the entry and the file that depart from it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

QUOTED = 60  # characters of a value that an error quotes
# Valid entries of each part, which errors show
EXAMPLES = {
    'images': '{"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}',
    'annotations': '{"id": 1, "image_id": 1, "category_id": 1, "keypoints": […], "bbox": […]}',
    'categories': '{"id": 1, "name": "person", "keypoints": ["nose", …], "skeleton": [[1, 2], …]}',
}
FLAT = '3 numbers for each keypoint in one flat list: x, y, visibility'


@contextmanager
def errors_name(source: Any) -> Iterator[None]:
    """Put the path of a file before ValueErrors about its content; change nothing for others."""
    try:
        yield
    except ValueError as error:
        if isinstance(source, (str, os.PathLike)):
            raise ValueError(f'{os.fspath(source)}: {error}') from error
        raise


def quote(value: Any) -> str:
    """Return a value as text on one line, shortened."""
    text = ' '.join(repr(value).split())
    return text if len(text) <= QUOTED else f'{text[: QUOTED - 1]}…'


def kind(value: Any) -> str:
    """Describe a value in the words of JSON."""
    if value is None:
        return 'null'
    if isinstance(value, Mapping):
        return 'a dict'
    if isinstance(value, (list, tuple)):
        return 'a list'
    return quote(value)


def check_coco_dict(content: Any) -> None:
    """Raise a ValueError unless content is a dict, as annotations in COCO format are."""
    if not isinstance(content, Mapping):
        raise ValueError(
            f'it holds {kind(content)}; expected annotations in COCO format, a dict with '
            "'images', 'annotations' and 'categories'"
        )


def coco_entries(content: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    """Return the entries of ``'images'``, ``'annotations'`` or ``'categories'``.

    Raises:
        ValueError: The part is missing or not a list, or an entry is not a dict.
    """
    if part not in content:
        raise ValueError(f'no {part!r}; expected COCO format, a list of {EXAMPLES[part]}')
    entries = content[part]
    if not isinstance(entries, (list, tuple)):
        raise ValueError(f'{part!r} is {kind(entries)}; expected a list of {EXAMPLES[part]}')
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise ValueError(
                f'{part!r}, entry {number}, is {kind(entry)}; expected {EXAMPLES[part]}'
            )
    return list(entries)


def keypoint_names(category: Mapping[str, Any]) -> list[str]:
    """Return the names of a category's keypoints.

    Raises:
        ValueError: They are not a list of distinct names.
    """
    where = f'category {quote(category.get("name", category.get("id")))}'
    names = category['keypoints']
    if not isinstance(names, (list, tuple)):
        raise ValueError(
            f"{where}: 'keypoints' is {kind(names)}; expected a list of names, such as "
            '["nose", "left_eye", …]'
        )
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name.strip() or not _is_unicode(name):
            raise ValueError(f'{where}: keypoint {number} is {kind(name)}; expected its name')
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f'{where}: several keypoints are called {quote(repeated[0])}; their names must differ'
        )
    return list(names)


def skeleton_links(category: Mapping[str, Any], names: Sequence[str]) -> list[tuple[int, int]]:
    """Return the links of a category's skeleton, as pairs of keypoints counted from 0.

    Raises:
        ValueError: A link is not a pair of keypoints, by their numbers from 1 on or their names.
    """
    where = f'category {quote(category.get("name", category.get("id")))}'
    skeleton = category.get('skeleton') or ()
    expected = (
        f'pairs of keypoints, counted from 1 to {len(names)}, or by their names'
        if len(names)
        else 'none, as there are no keypoints'
    )
    if not isinstance(skeleton, (list, tuple)):
        raise ValueError(f"{where}: 'skeleton' is {kind(skeleton)}; expected a list of {expected}")
    number_of = {name: number for number, name in enumerate(names)}
    links = []
    for link in skeleton:
        ends = link if isinstance(link, (list, tuple)) else ()
        numbers = [number_of.get(e, -1) if isinstance(e, str) else _whole(e) - 1 for e in ends]
        if len(numbers) != 2 or not all(0 <= number < len(names) for number in numbers):
            raise ValueError(f'{where}: the skeleton has {quote(link)}; expected {expected}')
        links.append((numbers[0], numbers[1]))
    return links


def keypoints_problem(keypoints: Any, num_keypoints: int | None = None) -> str | None:
    """Explain why an instance's ``'keypoints'`` are not a flat list of triples.

    Args:
        keypoints: Any value; the number of triples is not checked.
        num_keypoints: Expected number, by which other layouts are recognised.

    Returns:
        What is wrong and what was expected, or None if nothing is.
    """
    if isinstance(keypoints, Mapping) or not hasattr(keypoints, '__len__'):
        return f'the keypoints are {kind(keypoints)}; expected {FLAT}'
    if isinstance(keypoints, str):
        return f'the keypoints are text; expected {FLAT}'
    length = len(keypoints)
    if length and isinstance(keypoints[0], (list, tuple, np.ndarray)) and np.ndim(keypoints[0]):
        return f'the keypoints are a list of lists; expected {FLAT}'
    if num_keypoints and length == 2 * num_keypoints != 3 * num_keypoints:
        return f'the keypoints are pairs of x and y, without visibility; expected {FLAT}'
    if length % 3:
        return f'the keypoints are not triples of x, y and visibility; expected {FLAT}'
    return None


def _whole(value: Any) -> int:
    """Return a whole number of JSON; 0, which is no keypoint, for anything else."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if is_number and abs(value) < 2**53 and value == int(value) else 0


def _is_unicode(text: str) -> bool:
    """Whether a text can be written: JSON can contain half of a surrogate pair."""
    return not any('\ud800' <= character <= '\udfff' for character in text)
