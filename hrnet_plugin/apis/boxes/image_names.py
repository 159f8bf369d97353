"""Match the image names and ids of a file with inputs."""

import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, TypeVar

Parts = tuple[str, ...]
Key = TypeVar('Key', bound=Hashable)
MAX_LISTED = 5  # candidates that an error lists


def split_path(name: str) -> Parts:
    """Split a path into folders and file name, without ``.`` and ``..``; URLs as they are.

    >>> split_path('./images/../a/1.jpg')
    ('a', '1.jpg')
    """
    if '://' in name:
        return tuple(part for part in name.split('/') if part)
    return PurePosixPath(os.path.normpath(name.replace('\\', '/'))).parts


def match_ids(inputs: Sequence[str], ids: Iterable[Any]) -> dict[str, Any]:
    """Match ids with the inputs that are named by them: ``7`` with ``007.jpg``.

    A string is the id of the file that has it as its stem.

    Args:
        inputs: Paths or URLs.
        ids: Integers or strings.

    Returns:
        The id of each input that has one.

    Raises:
        ValueError: An id matches several inputs.
    """
    numbers: defaultdict[Any, dict[str, None]] = defaultdict(dict)
    for name in inputs:
        stem = PurePosixPath(split_path(name)[-1]).stem
        numbers[int(stem) if _is_number(stem) else stem][name] = None
    matched = {}
    for key in dict.fromkeys(ids):
        named = numbers.get(int(key) if isinstance(key, str) and _is_number(key) else key, {})
        if len({_full_path(name) for name in named}) > 1:
            raise ValueError(
                f'image_id {key!r} may be any of {_listed(named)}; name images by file_name, with '
                'as many folders as tell them apart'
            )
        matched.update(dict.fromkeys(named, key))
    return matched


def match_paths(
    inputs: Sequence[str], named: Mapping[Key, str]
) -> tuple[dict[str, Key], list[str]]:
    """Match inputs with names of image files, which may be relative to another folder.

    An equal name is preferred, then the name that shares the most folders, counted from the end.
    If the folders of no name agree with those of an input, folders are ignored: the images have
    been moved.

    Args:
        inputs: Paths or URLs.
        named: Key and name of each image.

    Returns:
        The key of each input that has one, and the inputs that match in spite of their folders.

    Raises:
        ValueError: Several names match an input, or several inputs a name.
    """
    input_parts = {name: split_path(name) for name in dict.fromkeys(inputs)}
    targets = {key: split_path(str(name)) for key, name in named.items()}
    keys_of: defaultdict[Parts, list[Key]] = defaultdict(list)
    for key, parts in targets.items():
        keys_of[parts].append(key)
    matched: dict[str, Key] = {}
    for name, parts in input_parts.items():
        keys = keys_of.get(parts) or keys_of.get(_full_path(name)) or []
        if len(keys) > 1:
            raise ValueError(
                f'it lists {len(keys)} images with the file_name of {name}; expected one'
            )
        if keys:
            matched[name] = keys[0]
    taken = set(matched.values())
    paths: defaultdict[Parts, list[str]] = defaultdict(list)  # the same file may be given twice
    for name in input_parts:
        if name not in matched:
            paths[_full_path(name)].append(name)
    open_keys = {key: parts for key, parts in targets.items() if key not in taken and parts}
    pairs = _shared_suffixes(paths, open_keys)
    agreeing = [
        (shared, path, key)
        for shared, path, key in pairs
        if shared == min(len(path), len(open_keys[key]))
    ]
    given = {path: names[0] for path, names in paths.items()}
    pairing = _pair(agreeing, given, named)
    mismatched: list[str] = []
    if not pairing and not matched:
        pairing = _pair(pairs, given, named)
        mismatched = [name for path in pairing for name in paths[path]]
    matched.update((name, key) for path, key in pairing.items() for name in paths[path])
    return matched, mismatched


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _full_path(name: str) -> Parts:
    return split_path(name if '://' in name else os.path.abspath(name))


def _shared_suffixes(
    paths: Iterable[Parts], targets: Mapping[Key, Parts]
) -> list[tuple[int, Parts, Key]]:
    """Return (number of shared last parts, path, key) for all pairs with the same file name."""
    by_file: defaultdict[str, list[Key]] = defaultdict(list)
    for key, parts in targets.items():
        by_file[parts[-1]].append(key)
    pairs = []
    for path in paths:
        for key in by_file.get(path[-1], ()):
            common = 0
            for a, b in zip(reversed(path), reversed(targets[key])):
                if a != b:
                    break
                common += 1
            pairs.append((common, path, key))
    return pairs


def _pair(
    pairs: Iterable[tuple[int, Parts, Key]], given: Mapping[Parts, str], named: Mapping[Key, str]
) -> dict[Parts, Key]:
    """Select the pairs that share the most parts, each path and each key once.

    Raises:
        ValueError: Several pairs of a path or of a key share as many.
    """
    levels: defaultdict[int, list[tuple[Parts, Key]]] = defaultdict(list)
    for common, path, key in pairs:
        levels[common].append((path, key))
    selected: dict[Parts, Key] = {}
    taken: set[Key] = set()
    for common in sorted(levels, reverse=True):
        level = [(p, k) for p, k in levels[common] if p not in selected and k not in taken]
        keys_of: defaultdict[Parts, list[Key]] = defaultdict(list)
        paths_of: defaultdict[Key, list[Parts]] = defaultdict(list)
        for path, key in level:
            keys_of[path].append(key)
            paths_of[key].append(path)
        for path, keys in keys_of.items():
            if len(keys) > 1:
                candidates = _listed([named[key] for key in keys])
                raise ValueError(
                    f'{given[path]} may be any of {candidates}; give inputs with the folders '
                    'that the file names them by'
                )
        for key, several in paths_of.items():
            if len(several) > 1:
                candidates = _listed([given[path] for path in several])
                raise ValueError(
                    f'file_name {named[key]!r} may be any of {candidates}; name images with as '
                    'many folders as tell them apart'
                )
        selected.update(level)
        taken.update(key for _, key in level)
    return selected


def _listed(names: Iterable[object]) -> str:
    texts = [str(name) for name in names]
    more = f', … ({len(texts)})' if len(texts) > MAX_LISTED else ''
    return ', '.join(texts[:MAX_LISTED]) + more
