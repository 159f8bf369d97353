"""Predict images and videos as COCO results, with the images that they are of."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from mmengine.structures import InstanceData

from ..boxes.box_file import BoxFile
from ..boxes.categories import Categories
from ..boxes.given_boxes import GivenBoxes, given_boxes
from ..inputs.file_names import check_out_folder, check_targets
from ..inputs.report import InputReport
from ..inputs.sources import Source, open_inputs, open_sources
from .calibrated import instance_scores
from .options import BBoxes, names_closest_option
from .outputs import JsonList, call_targets

if TYPE_CHECKING:
    from .inferencer import PoseInferencer

CocoResult = dict[str, Any]


class CocoSummary(NamedTuple):
    """What :func:`write_coco_results` has written.

    Attributes:
        path: Path of the results file.
        num_images: Number of images and frames that were predicted.
        num_instances: Number of results.
        unreadable: One message for each image and video that could not be read completely.
    """

    path: Path
    num_images: int
    num_instances: int
    unreadable: list[str]


@names_closest_option
def write_coco_results(
    inferencer: 'PoseInferencer',
    inputs: Any,
    path: str | Path,
    *,
    vis_out_dir: str | Path | None = None,
    bboxes: BBoxes = None,
    recursive: bool = False,
    batch_size: int = 16,
    bbox_thr: float = 0.3,
    nms_thr: float = 0.3,
    pose_based_nms: bool = False,
    draw_bbox: bool = False,
    kpt_thr: float = 0.3,
    track: bool = False,
    smooth: bool = False,
    skip_unreadable: bool = False,
) -> CocoSummary:
    """Predict poses and write them to a file of COCO results, as ``hrnet-plugin predict`` does.

    Results are written as they come: if interrupted, the file holds what was done.

    Args:
        inferencer: Inferencer; its :meth:`~PoseInferencer.to_coco` says what a result has.
        inputs: What a call of the inferencer takes, or paths of images, folders and videos
            together.
        path: Path of the JSON file to write.
        vis_out_dir: Folder for drawn images and videos; by default nothing is drawn.
        bboxes: Path of a file of boxes in COCO format, or of a single source boxes per image, as
            a call takes them.
        recursive: Whether to look for images and videos in subfolders, too.
        batch_size: Number of instances in one forward pass of the pose model, and of images in one
            of the detector.
        bbox_thr: Score up to which boxes are dropped, detected ones or those of a file.
        nms_thr: IoU with a better detection above which detections are dropped.
        pose_based_nms: Whether to drop instances with a third of their keypoints near those of a
            better one.
        draw_bbox: Whether to draw boxes.
        kpt_thr: Score below which keypoints are not drawn.
        track: Whether instances of a video get a ``track_id``.
        smooth: Whether to smooth the keypoints of each track over time; needs ``track``.
        skip_unreadable: Whether to skip what cannot be read with a warning, instead of raising
            the first error.

    Returns:
        The numbers of images and results, and what could not be read.

    Raises:
        OSError: An input does not exist or cannot be read, or the file cannot be written.
        TypeError: An option is unknown.
        ValueError: A value is impossible, a file to write is an input, or nothing can be read.
    """
    task = CocoTask(
        inputs,
        InputReport(strict=not skip_unreadable),
        bboxes,
        bbox_thr,
        inferencer.box_categories,
        recursive=recursive,
        path=path,
        vis_out_dir=vis_out_dir,
    )
    task.write(
        inferencer,
        batch_size=batch_size,
        bbox_thr=bbox_thr,
        nms_thr=nms_thr,
        pose_based_nms=pose_based_nms,
        draw_bbox=draw_bbox,
        kpt_thr=kpt_thr,
        track=track,
        smooth=smooth,
    )
    for note in [*task.file_notes, *task.box_notes()]:
        warnings.warn(note, stacklevel=3)
    return CocoSummary(Path(path), task.num_images, task.num_instances, task.report.unreadable)


class CocoTask:
    """Inputs to predict as COCO results, opened and checked before any model is loaded.

    Args:
        inputs: What a call of the inferencer takes, or paths of images, folders and videos.
        report: Report that takes what is skipped and what cannot be read.
        bboxes: Path of a file of boxes in COCO format; of a single source also boxes per image.
        bbox_thr: Score up to which boxes of a file are skipped.
        box_categories: Names or ids of the categories of a file to use.
        recursive: Whether to look for images and videos in subfolders, too.
        path: Path of the results file to write.
        vis_out_dir: Folder for drawn images and videos.
        option_names: Names of ``path`` and ``vis_out_dir`` in errors.

    Attributes:
        num_images: Number of images and frames predicted so far.
        num_instances: Number of results written so far.
        file_notes: What users need to know of the file of boxes.

    Raises:
        OSError: An input does not exist, or a folder to write to is a file.
        ValueError: An input is not an image or video, a file to write is an input, or boxes do
            not match the inputs.
    """

    def __init__(
        self,
        inputs: Any,
        report: InputReport,
        bboxes: BBoxes = None,
        bbox_thr: float = 0.3,
        box_categories: Categories = None,
        *,
        recursive: bool = False,
        path: str | Path | None = None,
        vis_out_dir: str | Path | None = None,
        option_names: tuple[str, str] = ('path', 'vis_out_dir'),
    ) -> None:
        self.report = report
        self.path = path
        self.vis_out_dir = vis_out_dir
        self.num_images = self.num_instances = 0
        self.file_notes: list[str] = []
        if vis_out_dir is not None:
            check_out_folder(option_names[1], vis_out_dir)
        if path is not None:
            check_out_folder(option_names[0], Path(path).parent)
        self.sources = _open(inputs, report, recursive)
        self.drawn: list[list[Path]] = [[] for _ in self.sources]
        if vis_out_dir is not None:
            self.drawn = call_targets(self.sources, str(vis_out_dir))
        protected = [name for source in self.sources for name in source.names]
        if isinstance(bboxes, str | Path):
            protected.append(str(bboxes))
        check_targets(option_names[0], [Path(path)] if path is not None else [], protected)
        check_targets(option_names[1], list(chain(*self.drawn)), protected)
        self.boxes = self._find_boxes(bboxes, bbox_thr, box_categories)

    def run(self, inferencer: 'PoseInferencer', **options: Any) -> Iterator[list[CocoResult]]:
        """Predict all inputs.

        Args:
            inferencer: Inferencer.
            options: Options of its calls.

        Returns:
            An iterator of the results of each image, in the order of the sources.

        Raises:
            TypeError: An option is unknown.
            ValueError: A value is impossible; while iterating, nothing can be read.
        """
        if self.vis_out_dir is not None:  # A folder that exists may have any name.
            Path(self.vis_out_dir).mkdir(parents=True, exist_ok=True)
        calls = []
        for source, boxes, drawn in zip(self.sources, self.boxes, self.drawn):
            vis_out_dir = drawn[0] if source.is_video and drawn else self.vis_out_dir
            calls.append(
                inferencer(
                    source,
                    return_datasamples=True,
                    bboxes=boxes,
                    vis_out_dir=None if vis_out_dir is None else str(vis_out_dir),
                    **options,
                )
            )
        return self._results(calls)

    def write(self, inferencer: 'PoseInferencer', **options: Any) -> None:
        """Predict all inputs, and write results as they come; see :meth:`run`.

        What was done stays in the file, also after an error or an interruption.
        """
        assert self.path is not None
        results = self.run(inferencer, **options)
        with closing(JsonList(Path(self.path))) as file:
            for of_image in results:
                for result in of_image:
                    file.append(result)
                    self.num_instances += 1

    def box_notes(self) -> list[str]:
        """Return what users need to know of the boxes used so far."""
        return [note for boxes in self.boxes if boxes is not None for note in boxes.notes()]

    def _find_boxes(
        self, bboxes: BBoxes, bbox_thr: float, box_categories: Categories
    ) -> Sequence[GivenBoxes | None]:
        if bboxes is None:
            return [None] * len(self.sources)
        if isinstance(bboxes, str | Path):
            file = BoxFile(str(bboxes), bbox_thr, box_categories)
            boxes = file.of(self.sources)
            self.file_notes = file.notes
            return boxes
        if len(self.sources) > 1:
            raise ValueError(
                f'the inputs are {len(self.sources)} sources (all images, and each video): give '
                'bboxes= as a file in COCO format, or one source at a time'
            )
        if isinstance(bboxes, GivenBoxes):
            return [bboxes]
        return [given_boxes(bboxes, self.sources[0])]

    def _results(self, calls: Sequence[Any]) -> Iterator[list[CocoResult]]:
        locations = ResultLocations(self.sources)
        for source, call in zip(self.sources, calls):
            with closing(call) as results:
                for result in results:
                    (sample,) = result['predictions']
                    location = locations(source, sample.frame_id, sample.timestamp)
                    yield [dict(location, **r) for r in coco_results(sample.pred_instances)]
                    self.num_images += 1
        if not self.num_images:
            raise ValueError('none of the inputs could be read')


class ResultLocations:
    """Give each image and frame an ``image_id`` that is unique among the sources.

    The ids of images are the numbers that their files are named by, as in COCO, if there is no
    video and no number twice. Otherwise all images and frames are counted, from 1, in the order
    of the sources.

    Args:
        sources: All sources.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.source: Source | None = None
        self.first_id, self.next_id = 1, 1
        stems = [Path(name).stem for name in sources[0].names] if len(sources) == 1 else []
        numbers = [int(stem) for stem in stems if stem.isdecimal()]
        all_different = len(set(numbers)) == len(stems) > 0
        self.numbers = numbers if all_different and not sources[0].is_video else []

    def __call__(self, source: Source, index: int, timestamp: float | None) -> CocoResult:
        """Return ``image_id`` and ``file_name`` of an image, and ``frame`` and its time.

        Args:
            source: One of the sources; the images of one are successive.
            index: Index of the image or frame in its source.
            timestamp: Time of a frame in seconds.

        Returns:
            The first entries of a result.
        """
        if source is not self.source:
            self.source, self.first_id = source, self.next_id
        image_id = self.numbers[index] if self.numbers else self.first_id + index
        self.next_id = max(self.next_id, image_id + 1)
        if not source.is_video:
            return dict(image_id=image_id, file_name=source.labels[index])
        location = dict(image_id=image_id, file_name=source.labels[0], frame=index)
        return location if timestamp is None else dict(location, timestamp=round(timestamp, 6))


def coco_results(instances: InstanceData) -> list[CocoResult]:
    """Convert the instances of an image to COCO results, without their image.

    Args:
        instances: ``pred_instances`` of a sample: N instances of K keypoints.

    Returns:
        N dicts; ``keypoints`` are x, y and score of each keypoint, 3 K numbers.
    """
    scores = instance_scores(instances)
    triples = np.dstack([instances.keypoints, instances.keypoint_scores])
    sizes = instances.bboxes[:, 2:] - instances.bboxes[:, :2]
    results: list[CocoResult] = [
        dict(
            category_id=1,
            keypoints=rounded(triple),
            score=float(score),
            bbox=rounded(np.concatenate([box[:2], size])),
        )
        for triple, score, box, size in zip(triples, scores, instances.bboxes, sizes)
    ]
    for result, track_id in zip(results, instances.get('track_ids', ())):
        result['track_id'] = int(track_id)
    return results


def rounded(values: np.ndarray) -> list[float]:
    """Return a flat list, rounded to a thousandth of a pixel."""
    return np.round(values.astype(np.float64), 3).ravel().tolist()


def _open(inputs: Any, report: InputReport, recursive: bool) -> list[Source]:
    paths = [inputs] if isinstance(inputs, str | Path) else inputs
    if isinstance(paths, Sequence) and all(isinstance(path, str | Path) for path in paths):
        return open_sources([str(path) for path in paths], report, recursive)
    return [open_inputs(inputs, report)]
