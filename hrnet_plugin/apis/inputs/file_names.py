"""Distinct names for inputs and for the files written for them."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Return the shortest part of each path that distinguishes it from the others.

    This is the file name, preceded by as many folders as needed.

    Args:
        paths: Paths of different files.

    Returns:
        Distinct relative paths, with ``/`` and without ``..``.

    Raises:
        ValueError: Two paths are the same.

    >>> distinct_names(['cam1/clip.mp4', 'cam2/clip.mp4', 'cam2/more.mp4'])
    ['cam1/clip.mp4', 'cam2/clip.mp4', 'more.mp4']
    """
    absolute = [PurePath(os.path.abspath(path)) for path in paths]
    # Without the root, as names are joined to the output folder.
    parts = [path.relative_to(path.anchor).parts for path in absolute]
    names = ['/'.join(part[-1:]) for part in parts]
    depths = [1] * len(names)
    while ambiguous := {name for name, number in Counter(names).items() if number > 1}:
        extended = False
        for i, name in enumerate(names):
            if name in ambiguous and depths[i] < len(parts[i]):
                depths[i] += 1
                names[i] = '/'.join(parts[i][-depths[i] :])
                extended = True
        if not extended:
            duplicate = next(i for i, name in enumerate(names) if name in ambiguous)
            raise ValueError(
                f'{paths[duplicate]} is given twice, so that results would overwrite each other: '
                'give each file once'
            )
    return names


def distinct_files(names: Sequence[str], suffix: Callable[[str], str]) -> list[str]:
    """Return distinct file names with another suffix for distinct names.

    Names that would become equal keep their own suffix before the new one, except one that does
    not change.

    Args:
        names: Distinct relative paths.
        suffix: Function that returns the new suffix of a name, with its dot.

    Returns:
        A file name for each name.

    >>> distinct_files(['a.avi', 'a.mp4', 'b.avi'], lambda name: '.mp4')
    ['a.avi.mp4', 'a.mp4', 'b.mp4']
    """
    plain = [PurePath(name).with_suffix(suffix(name)).as_posix() for name in names]
    counts = Counter(plain)
    keeps = [file == name or counts[file] == 1 for file, name in zip(plain, names)]
    taken = {file for file, keep in zip(plain, keeps) if keep}
    files = []
    for name, file, keep in zip(names, plain, keeps):
        if not keep:
            file = name + suffix(name)
            while file in taken:
                file += suffix(name)
            taken.add(file)
        files.append(file)
    return files


def check_out_folder(option: str, folder: str | Path) -> None:
    """Check that neither an output folder nor one above it is a file.

    Args:
        option: Name of the option that gives the folder, for the error.
        folder: Path of the folder, which need not exist.

    Raises:
        NotADirectoryError: One of them is a file.
    """
    path = Path(os.path.abspath(folder))
    for part in (path, *path.parents):
        if part.exists():
            if not part.is_dir():
                raise NotADirectoryError(
                    f'{option}={str(folder)!r}: {part} is a file; give the name of a folder'
                )
            return


def check_targets(option: str, targets: Sequence[Path], inputs: Sequence[str]) -> None:
    """Check that output files overwrite no input.

    Args:
        option: Name of the option that gives the output, for errors.
        targets: Files to write.
        inputs: Paths of the inputs.

    Raises:
        IsADirectoryError: A folder has the name of a file to write.
        ValueError: A file to write is an input.
    """
    protected = {os.path.realpath(path): path for path in inputs}
    for target in targets:
        real = os.path.realpath(target)
        if real in protected:
            raise ValueError(f'{protected[real]} would be overwritten; choose another {option}')
        if os.path.isdir(real):
            raise IsADirectoryError(
                f'{target} cannot be written: a folder has that name; choose another {option}'
            )
