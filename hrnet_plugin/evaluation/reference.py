"""What predictions are evaluated against: annotations of a file, or those of the data samples."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mmengine.fileio import get_local_path

from ..functional.coco.arrays import Annotations, read_annotations
from ..functional.coco.ids import Ids, as_id, plain_ids
from ..functional.coco.schema import coco_entries
from ..functional.coco.units import box_problems, keypoint_problems
from ..utils.json_files import read_json
from .collect import Collected
from .gather import dense_rank, take_rows, unique_rows


@dataclass(frozen=True)
class Reference:
    """Annotations, and what else their images and categories say.

    Attributes:
        annotations: Annotations as arrays, in which an area of 0 or less is as good as none.
        crowd_index: Crowd index (I,) of the images; None where it is not needed.
        default_category: Category of predictions that come without one.
        image_entries: ``'images'`` of the file; empty where annotations come with the samples.
    """

    annotations: Annotations
    crowd_index: np.ndarray | None
    default_category: Any
    image_entries: Sequence[Mapping[str, Any]] = ()

    @property
    def num_keypoints(self) -> int | None:
        """Number of keypoints, None if no annotation has any."""
        count, keypoints, _ = self.annotations.keypoints.shape
        return keypoints if count and keypoints else None

    def crowding(self, image_ids: np.ndarray) -> np.ndarray:
        """Return the crowd index (N,) of images, NaN for images that are not listed."""
        images = Ids(self.annotations.images)
        crowding = np.full(len(images) + 1, np.nan)  # the last one for number -1
        crowding[images.number(self.annotations.images)] = self.crowd_index
        return crowding[images.number(image_ids)]


def reference_from_file(ann_file: str, crowded: bool) -> Reference:
    """Read the annotations of a file.

    Args:
        ann_file: Path or URL of annotations in COCO format.
        crowded: Whether images must have a crowd index, as CrowdPose's do.

    Raises:
        ValueError: The file is not in COCO format, or lacks a crowd index.
    """
    with get_local_path(ann_file) as path:
        content = read_json(path)
    return reference_from_content(ann_file, content, crowded)


def reference_from_content(ann_file: str, content: Any, crowded: bool) -> Reference:
    """Take the annotations of a file that was read.

    Args:
        ann_file: Path or URL of the file, for messages.
        content: What it holds.
        crowded: Whether images must have a crowd index, as CrowdPose's do.

    Raises:
        ValueError: The file is not in COCO format, or lacks a crowd index.
    """
    try:
        annotations = read_annotations(content)
        images = coco_entries(content, 'images')
    except ValueError as error:
        raise ValueError(
            f'{ann_file}: {error}; evaluation needs annotations in COCO format (or say '
            'format_only=True to only write the predictions)'
        ) from error
    warn_about_units(ann_file, vars(annotations), images)
    crowd_index = None
    if crowded:
        given = [image.get('crowdIndex') for image in images]
        if not all(isinstance(index, (int, float)) for index in given):
            raise ValueError(
                f"{ann_file} has images without a 'crowdIndex', a number by which "
                "iou_type='keypoints_crowd' divides them; use iou_type='keypoints'"
            )
        crowd_index = np.array(given, float)
    category = _only_category(annotations, _person_category(content.get('categories') or ()))
    return Reference(_prepared(annotations, crowded), crowd_index, category, images)


def reference_from_samples(collected: Collected, crowded: bool) -> Reference:
    """Sort the annotations that came with the samples, and keep each once.

    Args:
        collected: What was collected of all samples.
        crowded: Whether images have a crowd index.
    """
    samples, table = collected.samples, collected.annotations
    images = unique_rows(dense_rank(samples['image_id']))
    rows = unique_rows(dense_rank(table['image_id']), dense_rank(table['id']))
    annotations = Annotations(
        images=plain_ids(samples['image_id'][images]),
        categories=table['category_id'],
        rows=np.arange(len(rows)),
        **take_rows(table, rows),
        num_given=len(rows),
    )
    warn_about_units('the annotations that come with the samples', vars(annotations))
    category = _only_category(annotations, 1)
    return Reference(_prepared(annotations, crowded), samples['crowd_index'][images], category)


def warn_about_units(
    source: str, table: Mapping[str, Any], images: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Warn of boxes and keypoints that are not in pixels: they match nothing, or anything.

    Args:
        source: Words for where the table comes from.
        table: ``keypoints`` (N, K, 3) and, where there are any, ``image_id`` and ``bbox`` (N, 4).
        images: Images of the annotations, as in COCO format.
    """
    keypoints, boxes = table['keypoints'], table.get('bbox')
    sizes = np.full((len(keypoints), 2), np.nan)
    if len(images):
        known = {as_id(i['id']): _size(i) for i in images}
        unknown = (np.nan, np.nan)
        ids = table['image_id'].tolist()
        sizes = np.array([known.get(i, unknown) for i in ids], np.float64).reshape(-1, 2)
    problems = [] if boxes is None else box_problems(boxes, sizes)
    for problem in [*problems, *keypoint_problems(keypoints, sizes)]:
        warnings.warn(
            f'{source}: {problem.message}: {len(problem.rows)} of {len(keypoints)}', stacklevel=4
        )


def _prepared(annotations: Annotations, crowded: bool) -> Annotations:
    area = annotations.area
    annotations = replace(annotations, area=np.where(area <= 0, np.nan, area))
    if crowded:
        return annotations
    # Labelled keypoints are counted, as stock does.
    return replace(annotations, num_keypoints=np.full(len(area), -1))


def _size(image: Mapping[str, Any]) -> tuple[float, float]:
    width, height = image.get('width'), image.get('height')
    if isinstance(width, (int, float)) and isinstance(height, (int, float)):
        return (width, height) if width > 0 and height > 0 else (np.nan, np.nan)
    return np.nan, np.nan


def _only_category(annotations: Annotations, default: Any) -> Any:
    """Return the category of the annotations if there is a single one."""
    ids = {*annotations.categories.tolist()}
    return ids.pop() if len(ids) == 1 else default


def _person_category(categories: Sequence[Any]) -> Any:
    """Return the category that is called person, or else 1, as MMPose takes it."""
    named = [c for c in categories if isinstance(c, Mapping) and 'id' in c]
    persons = [as_id(c['id']) for c in named if str(c.get('name')).lower() == 'person']
    return persons[0] if len(persons) == 1 else 1
