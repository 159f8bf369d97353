"""Poses of people in pictures and videos, batched."""

import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mmengine.device import get_device
from mmpose.evaluation.functional import nearby_joints_nms
from mmpose.structures import PoseDataSample
from tqdm import tqdm

from ...registry import INFERENCERS, strict_options
from ..boxes.box_file import BoxFile
from ..boxes.categories import Categories
from ..boxes.given_boxes import GivenBoxes, as_boxes, given_boxes
from ..inputs.read_ahead import read_ahead
from ..inputs.report import InputReport
from ..inputs.sources import Frame, Source, open_inputs
from .detector import Detector
from .model_files import ModelConfig
from .options import Options, check_names
from .outputs import Outputs, Result
from .pose_model import PoseModel
from .tracks import Tracks

WHOLE_IMAGE = ('whole_image', 'whole-image')
Boxed = tuple[Frame, np.ndarray]
T = TypeVar('T')


@INFERENCERS.register_module()
@strict_options
class PoseInferencer:
    """MMPoseInferencer's arguments and results for top-down models, faster.

    Unlike it, this one looks for a person nowhere but in boxes: the caller's, the detector's, or,
    if asked for with ``det_model='whole_image'``, each picture as a whole. It never works with
    random weights, and checks all files and numbers when it is built.

    Args:
        pose2d: config, file, or name of MMPose's or of this package's metafiles.
        pose2d_weights: checkpoint; that of the metafile, if it is not given.
        device: as of torch; the best there is, if it is not given.
        scope: package whose metafiles know the name.
        det_model: the same for the detector, in MMDetection's; or ``'whole_image'``.
        det_weights: checkpoint of the detector.
        det_cat_ids: numbers of the detector's classes that are people. If not given, that of the
            class ``person``, or of its only one.
        box_categories: where ``bboxes=`` of a call is a file, names or ids of the categories that
            are people, or ``'all'``. If not given, the category ``person``, or the only one, or
            that of id 1.
        show_progress: whether calls show a bar.

    Raises:
        OSError: a file is missing or cannot be read.
        ValueError: a name is unknown, or files do not fit together.
    """

    def __init__(
        self,
        pose2d: ModelConfig,
        pose2d_weights: str | None = None,
        device: str | None = None,
        scope: str = 'mmpose',
        det_model: ModelConfig | None = None,
        det_weights: str | None = None,
        det_cat_ids: int | Sequence[int] | None = None,
        show_progress: bool = False,
        box_categories: Categories = None,
    ) -> None:
        self.box_categories = box_categories
        device = device or get_device()
        self.show_progress = show_progress
        self.pose = PoseModel(pose2d, pose2d_weights, device, scope)
        self.whole_image = isinstance(det_model, str) and det_model in WHOLE_IMAGE
        self.detector: Detector | None = None
        if det_model is not None and not self.whole_image:
            self.detector = Detector(det_model, det_weights, det_cat_ids, device)
        elif det_weights is not None or det_cat_ids is not None:
            raise ValueError('det_weights and det_cat_ids need det_model, a config of a detector')

    def __call__(
        self,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int = 16,
        out_dir: str | None = None,
        **options: Any,
    ) -> Generator[Result, None, None]:
        """Find poses.

        Args:
            inputs: path, address or pattern of pictures, folder, array (h, w, 3) in BGR, list of
                these, video, or ``'webcam:0'``.
            return_datasamples: results are data samples instead of dicts.
            batch_size: people in one forward, whichever pictures they are from.
            out_dir: folder for ``visualizations`` and ``predictions``.
            options: see :class:`hrnet_plugin.apis.inference.options.Options`.

        Returns:
            A generator of one result for each picture, in their order: ``predictions``, a list of
            one list of people, and ``visualization``. Closing it finishes what was begun. An
            input that cannot be read raises its error there, after the results of those before
            it; with ``skip_unreadable`` there is a warning and no result (data samples have the
            ``img_path`` and ``frame_id`` of theirs). Warnings also name what is left out of
            folders.

        Raises:
            OSError: an input is missing or cannot be read.
            TypeError: an unknown option.
            ValueError: an impossible one, or nothing tells where people are.
        """
        check_names(options)
        if out_dir is not None:
            options.setdefault('vis_out_dir', f'{out_dir}/visualizations')
            options.setdefault('pred_out_dir', f'{out_dir}/predictions')
        settings = Options(return_datasamples, batch_size, **options)
        if settings.bboxes is None and self.detector is None and not self.whole_image:
            raise ValueError(
                'nothing tells where people are: give bboxes=, or build the inferencer with '
                "det_model= and det_weights=, or with det_model='whole_image' if each picture "
                'shows one person and little else'
            )
        source = open_inputs(inputs, InputReport(strict=not settings.skip_unreadable))
        if source.is_live:
            options.update(show=True)
            settings = Options(return_datasamples, 1, **options)
        boxes = None if settings.bboxes is None else self._given_boxes(settings, source)
        outputs = Outputs(source, self.pose, settings)
        return self._run(source, boxes, outputs, settings)

    def _given_boxes(self, options: Options, source: Source) -> GivenBoxes:
        if isinstance(options.bboxes, GivenBoxes):
            return options.bboxes
        if isinstance(options.bboxes, str | Path):
            file = BoxFile(str(options.bboxes), options.bbox_thr, self.box_categories)
            (boxes,) = file.of([source])
            for note in file.notes:
                warnings.warn(note, stacklevel=3)
            return boxes
        assert options.bboxes is not None
        return given_boxes(options.bboxes, source)

    def _run(
        self,
        source: Source,
        boxes: GivenBoxes | None,
        outputs: Outputs,
        options: Options,
    ) -> Generator[Result, None, None]:
        """Read ahead in one thread, draw and write in another, and find poses in this one.

        An error of reading is raised after the results of all that was read before.
        """
        errors: list[Exception] = []
        ahead = 0 if source.is_live else options.batch_size
        bar = tqdm(
            total=len(source) or None, disable=not self.show_progress, unit='image', leave=False
        )
        with (
            closing(outputs),
            ThreadPoolExecutor(max_workers=1) as writer,
            closing(read_ahead(source, max(1, ahead))) as frames,
            bar,
        ):
            boxed = self._find_boxes(until_error(frames, errors), boxes, options)
            found = self._estimate(until_error(boxed, errors), ahead, options)
            writing: deque[Future] = deque()
            for frame, sample in track(found, self.pose, source, options):
                writing.append(writer.submit(outputs.write, frame, sample))
                while len(writing) > ahead:
                    yield finish(writing.popleft(), outputs, options, bar)
            while writing:
                yield finish(writing.popleft(), outputs, options, bar)
        if boxes is not None and boxes is not options.bboxes:  # else whoever made them says it
            for note in boxes.notes():
                warnings.warn(note, stacklevel=2)
        if errors:
            raise errors[0]

    def _find_boxes(
        self, frames: Iterator[Frame], boxes: GivenBoxes | None, options: Options
    ) -> Iterator[Boxed]:
        """Add to each picture its boxes, (N, 5)."""
        if boxes is not None:
            for frame in frames:
                yield frame, boxes.of(frame)
        elif self.detector is None:
            for frame in frames:
                height, width = frame.image.shape[:2]
                yield frame, as_boxes([[0, 0, width, height]], frame.name)
        else:
            while several := list(islice(frames, options.batch_size)):
                found = self.detector(several, options.bbox_thr, options.nms_thr)
                yield from zip(several, found)

    def _estimate(
        self, boxed: Iterable[Boxed], ahead: int, options: Options
    ) -> Iterator[tuple[Frame, PoseDataSample]]:
        """Poses of each picture, in their order.

        At most ``ahead`` pictures wait until there are ``batch_size`` people.
        """
        waiting: deque[_Picture] = deque()
        crops: list[tuple[_Picture, dict[str, Any]]] = []

        def estimate() -> None:
            samples = self.pose.estimate([crop for _, crop in crops], options.draw_heatmap)
            for (picture, _), sample in zip(crops, samples):
                picture.people.append(sample)
            crops.clear()

        def finished() -> Iterator[tuple[Frame, PoseDataSample]]:
            while waiting and len(waiting[0].people) == waiting[0].number:
                picture = waiting.popleft()
                yield picture.frame, self._merge(picture, options)

        for frame, boxes in boxed:
            picture = _Picture(frame, len(boxes))
            waiting.append(picture)
            for box in boxes:
                crops.append((picture, self.pose.crop(frame, box)))
                if len(crops) == options.batch_size:
                    estimate()
            yield from finished()
            if len(waiting) > ahead:
                estimate()
                yield from finished()
        if crops:
            estimate()
        yield from finished()

    def _merge(self, picture: '_Picture', options: Options) -> PoseDataSample:
        sample = self.pose.merge(picture.frame, picture.people, options.draw_heatmap)
        people = sample.pred_instances
        if options.pose_based_nms and len(people):
            several = [
                dict(keypoints=points, score=score)
                for points, score in zip(people.keypoints, people.bbox_scores)
            ]
            kept = nearby_joints_nms(several, num_nearby_joints_thr=people.keypoints.shape[1] // 3)
            sample.pred_instances = people[kept]
        frame = picture.frame
        sample.set_metainfo(dict(frame_id=frame.index, timestamp=frame.timestamp))
        return sample


@dataclass
class _Picture:
    """A picture, how many people are in it, and those who are done."""

    frame: Frame
    number: int
    people: list[PoseDataSample] = field(default_factory=list)


def track(
    found: Iterable[tuple[Frame, PoseDataSample]],
    pose: PoseModel,
    source: Source,
    options: Options,
) -> Iterator[tuple[Frame, PoseDataSample]]:
    """Number people through pictures that follow each other, if asked for."""
    tracks = Tracks(pose.sigmas, source.fps, options.smooth) if options.track else None
    for frame, sample in found:
        if tracks is not None:
            tracks.update(sample, frame.timestamp)
        yield frame, sample


def finish(writing: Future, outputs: Outputs, options: Options, bar: tqdm) -> Result:
    """Wait until a picture is written, and show it."""
    result, drawn = writing.result()
    if options.show:
        outputs.show(drawn)
    bar.update()
    return result


def until_error(items: Iterable[T], errors: list[Exception]) -> Iterator[T]:
    """Yield the items up to an error, which is appended to ``errors`` instead of raised."""
    try:
        yield from items
    except Exception as error:
        errors.append(error)
