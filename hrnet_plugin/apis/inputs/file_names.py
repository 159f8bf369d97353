"""Names that tell inputs, and the files written for them, apart."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Return the shortest part of each path that distinguishes it from the others.

    It is the file name, preceded by as many folders as that takes.

    Args:
        paths: Paths of different files.

    Returns:
        Relative paths with ``/``, none of which are equal or contain ``..``.

    Raises:
        ValueError: Two paths are the same.

    >>> distinct_names(['cam1/clip.mp4', 'cam2/clip.mp4', 'cam2/more.mp4'])
    ['cam1/clip.mp4', 'cam2/clip.mp4', 'more.mp4']
    """
    absolute = [PurePath(os.path.abspath(path)) for path in paths]
    # Without the root: names are joined to the folder of results.
    parts = [path.relative_to(path.anchor).parts for path in absolute]
    names = ['/'.join(part[-1:]) for part in parts]
    depths = [1] * len(names)
    while ambiguous := {name for name, number in Counter(names).items() if number > 1}:
        grew = False
        for i, name in enumerate(names):
            if name in ambiguous and depths[i] < len(parts[i]):
                depths[i] += 1
                names[i] = '/'.join(parts[i][-depths[i] :])
                grew = True
        if not grew:
            twice = next(i for i, name in enumerate(names) if name in ambiguous)
            raise ValueError(
                f'{paths[twice]} is given twice, and results would be written over each other: '
                'give each file once'
            )
    return names


def distinct_files(names: Sequence[str], ending: Callable[[str], str]) -> list[str]:
    """Return a name with another ending for each of several distinct names.

    Names that would become equal keep their own ending before the new one, except one that does
    not change.

    Args:
        names: Distinct relative paths.
        ending: Returns the ending, with its dot, that the file of a name has.

    >>> distinct_files(['a.avi', 'a.mp4', 'b.avi'], lambda name: '.mp4')
    ['a.avi.mp4', 'a.mp4', 'b.mp4']
    """
    plain = [PurePath(name).with_suffix(ending(name)).as_posix() for name in names]
    counts = Counter(plain)
    keeps = [file == name or counts[file] == 1 for file, name in zip(plain, names)]
    taken = {file for file, keep in zip(plain, keeps) if keep}
    files = []
    for name, file, keep in zip(names, plain, keeps):
        if not keep:
            file = name + ending(name)
            while file in taken:
                file += ending(name)
            taken.add(file)
        files.append(file)
    return files


def check_out_folder(option: str, folder: str | Path) -> None:
    """Raise a NotADirectoryError if a folder to write to, or one above it, is a file."""
    path = Path(os.path.abspath(folder))
    for part in (path, *path.parents):
        if part.exists():
            if not part.is_dir():
                raise NotADirectoryError(
                    f'{option}={str(folder)!r}: {part} is a file; give the name of a folder'
                )
            return


def check_targets(option: str, targets: Sequence[Path], inputs: Sequence[str]) -> None:
    """Raise an error if a file to write is one of the inputs, or a folder.

    Raises:
        IsADirectoryError: There is a folder of that name.
        ValueError: It is an input.
    """
    protected = {os.path.realpath(path): path for path in inputs}
    for target in targets:
        real = os.path.realpath(target)
        if real in protected:
            raise ValueError(f'{protected[real]} would be written over; choose another {option}')
        if os.path.isdir(real):
            raise IsADirectoryError(
                f'{target} cannot be written: there is a folder of that name; choose another '
                f'{option}'
            )
