"""Read any source as one kind of dataset: one skeleton, every image found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...utils.errors import unknown_name
from ..mirror_pairs import describe_pairs, find_mirror_pairs
from .formats import FORMATS, recognise
from .images import image_size, locate_images
from .labels import Image, Labels, Skeleton, Source, Tally

UNNAMED = 'object'  # the category of instances whose source has none


@dataclass
class Dataset:
    """Annotated images with keypoints of one kind.

    Attributes:
        format: The format that they were read from.
        skeleton: The keypoints.
        categories: Names of the categories.
        images: The images, all of which are there.
        tally: What the source holds, and what was left out.
    """

    format: str
    skeleton: Skeleton
    categories: list[str]
    images: list[Image]
    tally: Tally


def read_dataset(
    path: Path,
    format: str | None = None,
    images: Path | None = None,
    keypoint_names: Sequence[str] = (),
    category: str | None = None,
    flip_pairs: Iterable[tuple[str, str]] | None = None,
) -> Dataset:
    """Read annotations of any known format, and find their images.

    Args:
        path: A file or folder.
        format: One of ``FORMATS``; None to recognise it.
        images: A folder of images; None for where the annotations are.
        keypoint_names: Names of keypoints that are only numbered, in order; of keypoints that
            have names, those to take.
        category: The category to take; needed where several have different keypoints.
        flip_pairs: Keypoints that swap when an image is mirrored; None for those of the source,
            or by the names.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged, or what it means is ambiguous; the error names the option
            that decides.
    """
    if len({*keypoint_names}) != len(keypoint_names):
        raise ValueError(f'names of keypoints must differ: {", ".join(keypoint_names)}')
    if images is not None and not images.is_dir():
        raise NotADirectoryError(f'{images} is not a folder; expected the folder of images')
    name, files = recognise(path, format)
    source = Source(path, files, tuple(keypoint_names), images)
    labels = FORMATS[name].read(source)
    _name_categories(labels)
    skeleton = _choose_skeleton(labels, source, category)
    _leave_out_others(labels, skeleton, category)
    _find_images(labels, source)
    pairs = _checked_pairs(source, skeleton, flip_pairs, labels.tally)
    used = {each.category for image in labels.images for each in image.instances}
    if not any(each.points for image in labels.images for each in image.instances):
        raise ValueError(f'{path} has no labelled keypoints in images that are there')
    return Dataset(
        name,
        skeleton._replace(flip_pairs=pairs),
        sorted(used),
        labels.images,
        labels.tally,
    )


def _name_categories(labels: Labels) -> None:
    """Give instances without a category that of all others, if they agree."""
    instances = [each for image in labels.images for each in image.instances]
    with_points = {each.category for each in instances if each.points} - {'', *labels.skeletons}
    name = with_points.pop() if len(with_points) == 1 else UNNAMED
    if '' not in labels.skeletons:
        return
    for instance in instances:
        instance.category = instance.category or name


def _choose_skeleton(labels: Labels, source: Source, category: str | None) -> Skeleton:
    """Return the one skeleton of the categories to take."""
    known = labels.skeletons
    if category is not None and '' in known:
        used = {each.category for image in labels.images for each in image.instances}
        if category not in used:
            raise ValueError(f'{source.path}: {unknown_name("category", category, sorted(used))}')
        known = {category: known.get(category, known[''])}
    elif category is not None:
        if category not in known:
            raise ValueError(f'{source.path}: {unknown_name("category", category, known)}')
        known = {category: known[category]}
    first, *others = known.values()
    if any(other.names != first.names for other in others):
        listed = '; '.join(
            f'{name or UNNAMED}: {", ".join(row.names[:3])}{", …" if len(row.names) > 3 else ""}'
            for name, row in known.items()
        )
        raise ValueError(
            f'{source.path} has categories of different keypoints ({listed}); one model has one '
            'kind: choose one with --category'
        )
    if not first.is_named and not source.keypoint_names:
        labels.tally.notes.append(
            f'the {len(first.names)} keypoints have no names: --keypoint-names gives them'
        )
    if not first.is_named or not source.keypoint_names:
        return first
    names = source.keypoint_names
    for name in names:
        if name not in first.names:
            raise ValueError(f'{source.path}: {unknown_name("keypoint", name, first.names)}')

    def among(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        return tuple((a, b) for a, b in pairs if a in names and b in names)

    pairs = None if first.flip_pairs is None else among(first.flip_pairs)
    return Skeleton(names, among(first.links), pairs)


def _leave_out_others(labels: Labels, skeleton: Skeleton, category: str | None) -> None:
    """Leave out other categories and keypoints, and instances that are nowhere."""
    tally = labels.tally
    instances = [each for image in labels.images for each in image.instances]
    with_points = {each.category for each in instances if each.points}
    names = {*skeleton.names}
    for image in labels.images:
        kept = []
        for each in image.instances:
            for other in [name for name in each.points if name not in names]:
                if category in (None, each.category):
                    reason = f'points of other keypoints ({other!r})'
                    tally.leave_out(reason, image.name, points=1)
                    del each.points[other]
            reason = ''
            if category not in (None, each.category):
                reason = f'instances of other categories ({each.category!r})'
            elif each.category not in with_points and each.category not in labels.skeletons:
                reason = f'boxes of labels that have no keypoints ({each.category!r})'
            elif not each.points and each.bbox is None:
                reason = 'instances without labelled points and without a box'
            if reason:
                tally.leave_out(reason, image.name, instances=1, points=len(each.points))
            else:
                kept.append(each)
        image.instances = kept
    empty = sum(not each.points for image in labels.images for each in image.instances)
    if empty:
        tally.notes.append(
            f'{empty} instances have a box and no labelled points: they are kept, are not trained '
            'with, and evaluation ignores detections of them'
        )


def _find_images(labels: Labels, source: Source) -> None:
    """Find the files of images, and their sizes; leave out those that are not there."""
    folders = [source.images or source.folder]
    if (folders[0] / 'images').is_dir():  # where its names may begin
        folders.append(folders[0] / 'images')
    locate_images(labels.images, folders)
    kept = []
    for image in labels.images:
        reason = ''
        if image.read is None and image.file is None:
            reason = 'images that are not there'
        elif image.file is not None and image.size is None:
            image.size = image_size(image.file)
            reason = '' if image.size else 'images that cannot be read'
        if reason:
            labels.tally.leave_out(reason, image.name, **image.counts()._asdict())
        else:
            kept.append(image)
    if labels.images and not kept:
        raise FileNotFoundError(
            f'none of {len(labels.images)} images is there and can be read, such as '
            f'{labels.images[0].name!r} of {labels.images[0].annotated_in}; searched in '
            f'{folders[0]}: give their folder with --images'
        )
    labels.images = kept


def _checked_pairs(
    source: Source, skeleton: Skeleton, given: Iterable[tuple[str, str]] | None, tally: Tally
) -> tuple[tuple[str, str], ...] | None:
    """Return the flip pairs that were given or are the source's; None for those by name."""
    by_name = find_mirror_pairs(skeleton.names)
    if given is not None:
        return tuple(given)
    if skeleton.flip_pairs is not None:
        mirrored = dict([*skeleton.flip_pairs, *(pair[::-1] for pair in skeleton.flip_pairs)])
        others = [(a, b) for a, b in by_name.mirrored.items() if mirrored.get(a) != b and a < b]
        if others:
            tally.notes.append(
                f'the source swaps other keypoints when an image is mirrored than names say: '
                f'{describe_pairs(others)}; --flip-pairs decides'
            )
        return skeleton.flip_pairs
    if by_name.unpaired:
        listed = ', '.join(map(repr, by_name.unpaired[:3]))
        more = ', …' if len(by_name.unpaired) > 3 else ''
        raise ValueError(
            f'{source.path}: names of keypoints say left or right, but have no counterpart: '
            f'{listed}{more}. Say which keypoints swap when an image is mirrored: '
            '--flip-pairs a:b c:d, or --no-flip-pairs for none'
        )
    if not by_name.mirrored and len(skeleton.names) > 1:
        tally.notes.append(
            'no keypoints swap when an image is mirrored; if they have sides: --flip-pairs a:b c:d'
        )
    return None
