"""DeepLabCut: a project's ``labeled-data/SESSION/CollectedData_SCORER.csv`` or ``.h5``.

Written by hand but for HDF5, which pandas reads: sleap-io 0.9.5 reads no HDF5, skips frames
whose image is missing without a word, sorts the keypoints of a project by name, and ignores
likelihoods.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .labels import Image, Instance, Keypoint, Labels, Skeleton, Source, Tally
from .yolo_pose import read_yaml

PCUTOFF = 0.6  # DeepLabCut's default: a prediction below it is not shown
UNIQUE = 'single'  # the individual that unique body parts are of


@dataclass(frozen=True)
class _Table:
    """A table of labels.

    Attributes:
        file: Where it is.
        columns: Individual (empty if there is one), body part and coordinate of each column.
        rows: The image of each row, and a value for each column; NaN if there is none.
    """

    file: Path
    columns: list[tuple[str, str, str]]
    rows: list[tuple[str, list[float]]]


def read_deeplabcut(source: Source) -> Labels:
    """Read labels of DeepLabCut's projects; each folder of ``labeled-data`` is a session.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged, or holds predictions of a video.
        ImportError: There is only HDF5, and what reads it is not installed.
    """
    tally = Tally()
    images: list[Image] = []
    names: dict[str, None] = {}
    configs: dict[Path, Mapping[str, Any]] = {}
    for file in source.files:
        other = file.with_suffix('.csv')
        if file.suffix == '.h5' and other in source.files:
            tally.notes.append(f'{file.name}: read as {other.name}, which is beside it')
            continue
        config = _config_of(file, configs)
        cutoff = config.get('pcutoff', PCUTOFF)
        table = _read_csv(file) if file.suffix == '.csv' else _read_hdf5(file)
        names.update(dict.fromkeys(p for who, p, _ in table.columns if who != UNIQUE))
        for path, values in table.rows:
            tally.find(images=1)
            image = Image(path, file, group=file.parent.name)
            people = _points(table, path, values, cutoff, tally)
            for who, points in people.items():
                if who == UNIQUE and points:
                    tally.leave_out(
                        'unique body parts, which belong to no animal',
                        f'{path} ({", ".join(points)})',
                        points=len(points),
                    )
                elif points:
                    tally.find(instances=1)
                    image.instances.append(Instance(points))
            images.append(image)
    links = _links([*configs.values()], names)
    return Labels({'': Skeleton(tuple(names), links)}, images, tally)


def _config_of(file: Path, configs: dict[Path, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the config of a file's project; empty if there is none."""
    path = file.parent.parent.parent / 'config.yaml'
    if path not in configs:
        configs[path] = read_yaml(path) if path.is_file() else {}
    return configs[path]


def _links(
    configs: list[Mapping[str, Any]], names: Mapping[str, None]
) -> tuple[tuple[str, str], ...]:
    found: dict[tuple[str, str], None] = {}
    for config in configs:
        skeleton = config.get('skeleton')
        for link in skeleton if isinstance(skeleton, list) else ():
            if isinstance(link, list) and len(link) == 2 and all(str(e) in names for e in link):
                found[str(link[0]), str(link[1])] = None
    return tuple(found)


def _points(
    table: _Table, path: str, values: list[float], cutoff: Any, tally: Tally
) -> dict[str, dict[str, Keypoint]]:
    """Return the labelled points of a row, by individual."""
    given: dict[tuple[str, str], dict[str, float]] = {}
    for (who, part, coordinate), value in zip(table.columns, values):
        given.setdefault((who, part), {})[coordinate] = value
    found: dict[str, dict[str, Keypoint]] = {}
    for (who, part), own in given.items():
        people = found.setdefault(who, {})
        x, y = own['x'], own['y']
        if math.isnan(x) and math.isnan(y):
            continue
        where = f'{part!r} of {path}'
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(
                f'{table.file}: {where} is at ({x}, {y}); expected two numbers or none'
            )
        tally.find(points=1)
        likelihood = own.get('likelihood', math.nan)
        if isinstance(cutoff, (int, float)) and likelihood < cutoff:
            reason = f'predicted points below the likelihood {cutoff} (pcutoff)'
            tally.leave_out(reason, where, points=1)
            continue
        people[part] = Keypoint(x, y)
    return found


def _read_csv(file: Path) -> _Table:
    try:
        with file.open(encoding='utf-8-sig', newline='') as lines:
            rows = [row for row in csv.reader(lines) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{file} is not a table of text: {error}') from None
    header: dict[str, list[str]] = {}
    while rows and rows[0][0] in ('scorer', 'individuals', 'bodyparts', 'coords'):
        name, *rest = rows.pop(0)
        header[name] = rest
    if not {'bodyparts', 'coords'} <= header.keys():
        raise ValueError(
            f"{file}: its first rows are {list(header) or 'something else'}; expected 'scorer', "
            "'bodyparts' and 'coords', as DeepLabCut writes them"
        )
    width = len(header['coords'])
    # A path is in one column, or in three whose header is empty
    more = next((n for n, cell in enumerate(header['coords']) if cell), width)
    people = header.get('individuals', [''] * width)
    if not len(people) == len(header['bodyparts']) == width:
        raise ValueError(f'{file}: the rows of its header have different numbers of cells')
    columns = list(zip(people[more:], header['bodyparts'][more:], header['coords'][more:]))
    table = []
    for number, row in enumerate(rows, len(header) + 1):
        where = f'{file}, line {number}'
        if len(row) != width + 1:
            raise ValueError(
                f'{where} has {len(row)} cells; expected {width + 1}; was it cut short?'
            )
        try:
            values = [float(cell) if cell.strip() else math.nan for cell in row[1 + more :]]
        except ValueError as error:
            raise ValueError(f'{where}: {error}; expected numbers, or nothing') from None
        table.append(('/'.join(row[: 1 + more]), values))
    return _checked(_Table(file, columns, table))


def _read_hdf5(file: Path) -> _Table:
    try:
        import pandas
        import tables  # noqa: F401  pandas needs it
    except ImportError as error:
        raise ImportError(
            f'{file} is HDF5, which needs {error.name}: pip install pandas tables',
            name=error.name,
        ) from error
    try:
        frame = pandas.read_hdf(file)
    except Exception as error:  # of HDF5's library, pandas or pickle
        reason = ' '.join(str(error).split())[:200]
        raise ValueError(f'{file} cannot be read as HDF5 of DeepLabCut: {reason}') from error
    names = list(getattr(frame.columns, 'names', ()))
    if not {'bodyparts', 'coords'} <= {*names}:
        raise ValueError(
            f"{file}: its columns are {names}; expected 'scorer', 'bodyparts' and 'coords'"
        )
    levels = [
        names.index(n) if n in names else None for n in ('individuals', 'bodyparts', 'coords')
    ]
    columns = [
        tuple('' if level is None else str(column[level]) for level in levels)
        for column in frame.columns
    ]
    rows = [
        ('/'.join(map(str, key)) if isinstance(key, tuple) else str(key), list(map(float, values)))
        for key, values in zip(frame.index, frame.to_numpy())
    ]
    return _checked(_Table(file, columns, rows))  # type: ignore[arg-type]


def _checked(table: _Table) -> _Table:
    for who, part, coordinate in table.columns:
        if coordinate not in ('x', 'y', 'likelihood'):
            raise ValueError(
                f"{table.file}: {part!r} has a column {coordinate!r}; expected 'x', 'y' and "
                "'likelihood'"
            )
        for needed in 'xy':
            if (who, part, needed) not in table.columns:
                raise ValueError(f'{table.file}: {part!r} has no column {needed!r}')
    if len({*table.columns}) != len(table.columns):
        raise ValueError(f'{table.file}: a body part has two columns of one coordinate')
    if any(path.isdecimal() for path, _ in table.rows):
        raise ValueError(
            f'{table.file} holds predictions of a video, by number of frame; expected labels of '
            'images: labeled-data/SESSION/CollectedData_SCORER.csv'
        )
    return table


def is_collected_data(file: Path) -> bool:
    """Return whether a file has the name of annotators' labels."""
    return file.name.startswith('CollectedData') and file.suffix in ('.csv', '.h5')


def collected_data(files: list[Path]) -> Iterator[Path]:
    """Yield the files of annotators' labels; copies in training datasets are no labels."""
    for file in files:
        if is_collected_data(file) and 'training-datasets' not in file.parts:
            yield file
