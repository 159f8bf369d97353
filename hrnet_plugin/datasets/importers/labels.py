"""What every importer makes of its files: images, instances, keypoints, and what was left out."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ...utils.errors import count_examples

EXAMPLES = 3  # of what was left out or repaired
HIDDEN, VISIBLE = 1, 2  # COCO's visibility of labelled keypoints


class Counts(NamedTuple):
    """Numbers of images, of instances and of labelled keypoints."""

    images: int = 0
    instances: int = 0
    points: int = 0

    def __str__(self) -> str:
        return f'{self.images} images, {self.instances} instances, {self.points} labelled points'


class Keypoint(NamedTuple):
    """A labelled keypoint: x and y in pixels, and a visibility of 1 (hidden) or 2 (visible)."""

    x: float
    y: float
    visibility: int = VISIBLE


class Skeleton(NamedTuple):
    """Keypoints of one kind of instance.

    Attributes:
        names: Names of the keypoints.
        links: Pairs of linked keypoints, by name.
        flip_pairs: Keypoints that swap when an image is mirrored; None if the source does not say.
        is_named: Whether the names are the source's own.
    """

    names: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()
    flip_pairs: tuple[tuple[str, str], ...] | None = None
    is_named: bool = True


@dataclass(eq=False)
class Instance:
    """An annotated instance.

    Attributes:
        points: Labelled keypoints by name; one that is not labelled is not in it.
        bbox: x, y, width and height in pixels; None if the source has none.
        category: Its category; empty if the source does not say.
        area: In square pixels; None if the source does not say.
        iscrowd: Whether it stands for many.
        extra: Other fields of an annotation in COCO's format.
    """

    points: dict[str, Keypoint]
    bbox: tuple[float, float, float, float] | None = None
    category: str = ''
    area: float | None = None
    iscrowd: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Image:
    """An image.

    Attributes:
        name: Its name in the annotations, or its path.
        annotated_in: The file of its annotations.
        file: The image file; None if it is to be searched by its name, or is read.
        read: Returns the content of an image file, of one that is in no file of its own.
        size: Width and height in pixels; None if they are to be read.
        group: The video or session that it is of; None if its name has to tell.
        split: ``'train'``, ``'val'`` or ``'test'``; None if the source does not say.
        instances: Its instances.
        extra: Other fields of an image in COCO's format.
    """

    name: str
    annotated_in: Path
    file: Path | None = None
    read: Callable[[], bytes] | None = None
    size: tuple[int, int] | None = None
    group: str | None = None
    split: str | None = None
    instances: list[Instance] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def counts(self) -> Counts:
        """Count the image with its instances and labelled keypoints."""
        points = sum(len(instance.points) for instance in self.instances)
        return Counts(1, len(self.instances), points)


@dataclass
class Tally:
    """Numbers of what the source holds, counted apart from what is made of it.

    Attributes:
        found: Images, instances and labelled points of the source.
        lost: Those that were left out.
        left_out: What was left out: reason -> number and a few examples.
        repaired: What was repaired: description -> number and a few examples.
        notes: What else a user should know.
    """

    found: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    repaired: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def find(self, images: int = 0, instances: int = 0, points: int = 0) -> None:
        """Count what the source holds."""
        self.found.update(images=images, instances=instances, points=points)

    def leave_out(
        self, reason: str, example: object, images: int = 0, instances: int = 0, points: int = 0
    ) -> None:
        """Count what is left out of what was found; other things are named alone."""
        self.lost.update(images=images, instances=instances, points=points)
        _add(self.left_out, reason, example)

    def repair(self, what: str, example: object) -> None:
        """Count a repair."""
        _add(self.repaired, what, example)

    def expected(self) -> Counts:
        """Return how much has to be written."""
        return Counts(**{name: self.found[name] - self.lost[name] for name in Counts._fields})

    def left_out_lines(self) -> list[str]:
        """Describe what was left out, a line each."""
        return _lines(self.left_out)

    def repaired_lines(self) -> list[str]:
        """Describe what was repaired, a line each."""
        return _lines(self.repaired)


@dataclass
class Labels:
    """The content of a source.

    Attributes:
        skeletons: Keypoints by category; one under an empty name is of all of them.
        images: The images.
        tally: What the source holds, and what was left out.
    """

    skeletons: dict[str, Skeleton]
    images: list[Image]
    tally: Tally


@dataclass(frozen=True)
class Source:
    """What an importer reads.

    Attributes:
        path: The file or folder that was given.
        files: The annotation files that its format recognises.
        keypoint_names: Names of keypoints, for formats that only number them.
        images: A folder of images; None for where the annotations are.
    """

    path: Path
    files: tuple[Path, ...]
    keypoint_names: tuple[str, ...] = ()
    images: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder that was given, or that of the file; ``annotations`` is beside images."""
        if self.path.is_dir():
            return self.path
        parent = self.path.absolute().parent
        return parent.parent if parent.name == 'annotations' else parent

    def split_of(self, file: Path) -> str | None:
        """Return the split that the folders of a file say, below the one that was given."""
        parts = file.absolute().relative_to(self.folder.absolute()).parts[:-1]
        return next((split for split in map(split_of_name, parts) if split), None)

    def numbered_names(self, count: int) -> tuple[str, ...]:
        """Return names for keypoints that the source only numbers: those given, or numbers.

        Raises:
            ValueError: Another number of names was given.
        """
        if self.keypoint_names and len(self.keypoint_names) != count:
            raise ValueError(
                f'{self.path} has {count} keypoints, but --keypoint-names gives '
                f'{len(self.keypoint_names)}; give a name for each, in order'
            )
        return self.keypoint_names or tuple(f'keypoint_{n}' for n in range(1, count + 1))


def ordered_names(first: Iterable[str], images: Iterable[Image]) -> tuple[str, ...]:
    """Return given names and then those of labelled keypoints, in order of appearance."""
    names = dict.fromkeys(first)
    for image in images:
        for instance in image.instances:
            names.update(dict.fromkeys(instance.points))
    return tuple(names)


SPLITS = {
    'train': 'train',
    'training': 'train',
    'val': 'val',
    'valid': 'val',
    'validation': 'val',
    'test': 'test',
}


def split_of_name(name: str) -> str | None:
    """Return the split that the name of a file or folder says.

    >>> split_of_name('person_keypoints_train2017'), split_of_name('valid'), split_of_name('mine')
    ('train', 'val', None)
    """
    words = ''.join(c.lower() if c.isalpha() else ' ' for c in name).split()
    found = {SPLITS[word] for word in words if word in SPLITS}
    return found.pop() if len(found) == 1 else None


def _add(table: dict[str, tuple[int, list[str]]], key: str, example: object) -> None:
    count, examples = table.get(key, (0, []))
    table[key] = (count + 1, examples if len(examples) >= EXAMPLES else [*examples, str(example)])


def _lines(table: dict[str, tuple[int, list[str]]]) -> list[str]:
    return [f'{key}: {count_examples(*value)}' for key, value in table.items()]
