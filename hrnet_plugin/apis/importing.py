"""Import annotations of other tools as a dataset in COCO's format, and check it."""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checks.coco import check_coco
from ..checks.findings import Findings
from ..checks.images import check_images
from ..datasets.importers.archives import extract
from ..datasets.importers.labels import Counts
from ..datasets.importers.reading import Dataset, read_dataset
from ..datasets.importers.splits import assign_splits
from ..datasets.importers.writer import METAINFO, check_output, write_dataset


@dataclass(frozen=True)
class ImportedDataset:
    """An imported dataset on disk.

    Attributes:
        folder: Its folder, with ``images``, ``annotations`` and ``metainfo.py``.
        format: The format that was read.
        keypoints: Names of the keypoints.
        found: What the source holds.
        written: What each split holds, read again from its file.
        left_out: A line about each kind of thing that was left out.
        repaired: A line about each kind of repair.
        notes: What else should be known.
        findings: What is wrong with the data: errors and warnings.
    """

    folder: Path
    format: str
    keypoints: tuple[str, ...]
    found: Counts
    written: dict[str, Counts]
    left_out: list[str]
    repaired: list[str]
    notes: list[str]
    findings: Findings

    @property
    def metainfo(self) -> Path:
        """The file for ``metainfo=dict(from_file=…)`` of a config."""
        return self.folder / METAINFO


def import_dataset(
    source: str | Path,
    out: str | Path,
    format: str | None = None,
    images: str | Path | None = None,
    val: float = 0.1,
    seed: int = 0,
    copy: bool = False,
    flip_pairs: Iterable[tuple[str, str]] | None = None,
    keypoint_names: Sequence[str] = (),
    category: str | None = None,
    read_images: bool = True,
) -> ImportedDataset:
    """Make a dataset in COCO's format of annotations of another tool.

    The folder has ``images``, ``annotations/train.json`` and ``val.json`` (and ``test.json``, if
    the source has such a split), and ``metainfo.py``. It is written whole or not at all. The
    same source, seed and options give the same files.

    Args:
        source: A file, a folder or a zip archive of COCO's format, CVAT for images, Label Studio,
            LabelMe, YOLO-pose, DeepLabCut or SLEAP.
        out: The folder to write, which must be empty or not exist.
        format: ``'coco'``, ``'cvat'``, ``'label-studio'``, ``'labelme'``, ``'yolo-pose'``,
            ``'deeplabcut'`` or ``'sleap'``; None to recognise it.
        images: The folder of images; None for where the annotations are.
        val: The share of images for validation, unless the source has splits.
        seed: Which images they are follows from it. Frames of a video stay together.
        copy: Whether to copy images; else they are linked to. Frames of videos and files of
            archives are always written.
        flip_pairs: Names of two keypoints each that swap when an image is mirrored; None for
            those of the source, or by their names.
        keypoint_names: Names, in order, of keypoints that the source only numbers; of others,
            those to take.
        category: The category to take; needed where several have different keypoints.
        read_images: Whether the check at the end decodes every image.

    Returns:
        What was read, repaired, left out and written, and what the check finds.

    Raises:
        OSError: A file cannot be read or written, or ``out`` is not empty.
        ValueError: A file is damaged, its format is unknown or ambiguous, or an option is needed.
        ImportError: What reads the format is not installed.
    """
    source, out = Path(source), Path(out)
    if not 0 <= val < 1:
        raise ValueError(f'val is {val}; expected a share of the images, from 0 to below 1')
    check_output(out)
    folder = None if images is None else Path(images)
    given = None if flip_pairs is None else tuple(flip_pairs)

    def write(path: Path, is_temporary: bool) -> tuple[Dataset, dict[str, Counts]]:
        dataset = read_dataset(path, format, folder, keypoint_names, category, given)
        assign_splits(dataset.images, val, seed, dataset.tally)
        # Images of --images are not extracted: they are linked to or copied.
        move = is_temporary and folder is None
        return dataset, write_dataset(dataset, out, copy, move).counts

    extracted = ''
    if source.suffix.lower() == '.zip' and source.is_file():
        out.parent.mkdir(parents=True, exist_ok=True)
        # On the disk of the dataset, so that images are moved there and not copied
        with tempfile.TemporaryDirectory(prefix=f'{out.name}.', dir=out.parent) as extracted:
            extract(source, Path(extracted))
            try:
                dataset, written = write(Path(extracted), True)
            except ValueError as error:
                raise ValueError(str(error).replace(extracted, str(source))) from error
            except OSError as error:
                raise OSError(str(error).replace(extracted, str(source))) from error
    else:
        dataset, written = write(source, False)
    tally = dataset.tally

    def shown(lines: list[str]) -> list[str]:
        """Name the archive and not where it was extracted."""
        return [line.replace(extracted, str(source)) if extracted else line for line in lines]

    return ImportedDataset(
        out,
        dataset.format,
        dataset.skeleton.names,
        Counts(**tally.found),
        written,
        shown(tally.left_out_lines()),
        shown(tally.repaired_lines()),
        shown(tally.notes),
        _check(out, list(written), len(dataset.skeleton.names), read_images),
    )


def _check(folder: Path, splits: list[str], num_keypoints: int, read: bool) -> Findings:
    """Check annotations and images of a dataset."""
    findings = Findings(folder)
    for split in splits:
        instances = check_coco(folder / f'annotations/{split}.json', num_keypoints)
        findings += instances.findings
        findings += check_images(folder / 'images', instances.images, read)
    return findings
