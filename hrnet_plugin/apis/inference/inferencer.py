"""Predict the poses of instances in images and videos, in batches that span images."""

import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mmengine.device import get_device
from tqdm import tqdm

from ...functional import Calibration
from ...registry import INFERENCERS, strict_options
from ..boxes.box_file import BoxFile
from ..boxes.categories import Categories
from ..boxes.given_boxes import GivenBoxes, as_boxes, given_boxes
from ..inputs.images import Frame
from ..inputs.read_ahead import read_ahead
from ..inputs.report import InputReport
from ..inputs.sources import Source, open_inputs
from .backends import PoseBackend
from .batches import CropBatches, ImageResult
from .calibrated import calibrate
from .coco_results import CocoTask
from .detector import Detector
from .exported import is_exported
from .exported_detector import ExportedDetector
from .model_files import ModelConfig
from .options import BBoxes, Options, names_closest_option
from .outputs import Outputs, Result
from .pose_model import PoseModel
from .runtimes import open_model
from .tracks import TrackSmoother

WHOLE_IMAGE = 'whole_image'  # MMPose accepts whole-image, too.
T = TypeVar('T')


@INFERENCERS.register_module()
@strict_options
class PoseInferencer:
    """MMPoseInferencer's arguments and results for top-down models, faster.

    Instances come from the given boxes or from the detector only, or, with
    ``det_model='whole_image'``, each image is one instance. Weights are never random, and all
    files and numbers are checked when the inferencer is built.

    Args:
        pose2d: Config of the pose model: its path, its name in the metafiles of MMPose or of this
            package, or the config itself. Or the path of an exported model, ``*.onnx`` or
            ``*.xml``, which needs neither a config nor weights.
        pose2d_weights: Checkpoint of the pose model; by default the one in the metafile.
        device: Device of torch, or that of an exported model's runtime; by default the best that
            is available.
        scope: Package whose metafiles are searched for the name.
        det_model: Config of the detector, as ``pose2d`` in MMDetection; or the path of an exported
            detector, ``*.onnx``, which needs neither a config nor weights; or ``'whole_image'``.
        det_weights: Checkpoint of the detector; by default the one in the metafile.
        det_cat_ids: Indices of the detector's classes to use; by default the class ``person``, or
            the only one.
        show_progress: Whether calls show a progress bar.
        box_categories: Where ``bboxes`` of a call is a file, names or ids of the categories to
            use, or ``'all'``; by default the category ``person``, the only one, or id 1.
        backend: What runs the pose network instead of torch; ``pose2d_weights`` is not used then.
        runtime: What runs exported models: ``'onnxruntime'``, ``'openvino'``, or ``'auto'``:
            the fastest that is installed and gives the same keypoints, after a second of timing
            (for a detector the default); by default OpenVINO for ``*.xml``, else ONNX Runtime.
            ``pose.backend_name`` says which.
        precision: ``'float32'``; or ``'bfloat16'``, in which PyTorch computes the features of a
            pose model, and OpenVINO float32 layers of an exported one, on CPUs that have it. In
            PyTorch also ``'auto'``: bfloat16 where the device has instructions for it.
        calibration: Calibration of :func:`~hrnet_plugin.functional.fit_calibration`, or the path
            of its file, fitted on COCO results of the same models. Keypoint scores become
            probabilities of being right, and instances get a calibrated ``score``; ``bbox_score``
            stays the detector's. ``kpt_thr`` applies to calibrated scores.

    Raises:
        OSError: A file does not exist or cannot be read.
        ValueError: A name is unknown, or files do not fit together.
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
        backend: PoseBackend | None = None,
        runtime: str | None = None,
        precision: str = 'float32',
        calibration: Calibration | str | Path | None = None,
    ) -> None:
        if isinstance(calibration, str | Path):
            calibration = Calibration.from_json(calibration)
        if not isinstance(calibration, Calibration | None):
            raise ValueError(
                f'calibration is {type(calibration).__name__}; expected a Calibration or the path '
                'of its file'
            )
        self.calibration = calibration
        self.box_categories = box_categories
        self.show_progress = show_progress
        exported: Any = next((m for m in (pose2d_weights, pose2d) if is_exported(m)), None)
        if exported is not None:
            pose2d, backend = open_model(exported, device, runtime, precision)
        torch_device = device or get_device()
        self.pose = PoseModel(pose2d, pose2d_weights, torch_device, scope, backend, precision)
        self.whole_image = (
            isinstance(det_model, str) and det_model.replace('-', '_') == WHOLE_IMAGE
        )
        self.detector: Detector | ExportedDetector | None = None
        if isinstance(det_model, str | Path) and is_exported(det_model):
            if det_weights is not None:
                raise ValueError(
                    f'det_weights={det_weights!r} is for a config, but {det_model} is an exported '
                    'detector, which has its weights: leave det_weights out'
                )
            self.detector = ExportedDetector(det_model, det_cat_ids, device, runtime)
        elif det_model is not None and not self.whole_image:
            self.detector = Detector(det_model, det_weights, det_cat_ids, torch_device)
        elif det_weights is not None or det_cat_ids is not None:
            raise ValueError('det_weights and det_cat_ids need det_model, a config of a detector')

    @names_closest_option
    def __call__(
        self,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int = 16,
        out_dir: str | None = None,
        *,
        bboxes: BBoxes = None,
        bbox_thr: float = 0.3,
        nms_thr: float = 0.3,
        pose_based_nms: bool = False,
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0.0,
        draw_bbox: bool = False,
        draw_heatmap: bool = False,
        radius: int = 3,
        thickness: int = 1,
        kpt_thr: float = 0.3,
        skeleton_style: str = 'mmpose',
        black_background: bool = False,
        vis_out_dir: str | None = None,
        pred_out_dir: str | None = None,
        track: bool = False,
        smooth: bool = False,
        skip_unreadable: bool = False,
    ) -> Generator[Result, None, None]:
        """Predict poses.

        All options but ``track``, ``smooth`` and ``skip_unreadable`` are MMPoseInferencer's.

        Args:
            inputs: Path, URL or pattern of images, a folder, an array (h, w, 3) in BGR, a list of
                these, a video, or ``'webcam:0'``.
            return_datasamples: Whether results are data samples instead of dicts.
            batch_size: Number of instances, of any images, in one forward pass of the pose model,
                and of images in one of the detector.
            out_dir: Folder for ``visualizations`` and ``predictions``, unless ``vis_out_dir`` and
                ``pred_out_dir`` are given.
            bboxes: For each image boxes (N, 4) or (N, 5): x1, y1, x2, y2 in pixels and a score;
                or the path of a file of boxes in COCO format, to which ``bbox_thr`` applies. They
                replace the detector. Boxes outside of their image or smaller than a pixel are
                skipped with a warning.
            bbox_thr: Score up to which detections are dropped.
            nms_thr: IoU with a better detection above which detections are dropped.
            pose_based_nms: Whether to drop instances with a third of their keypoints near those
                of a better one.
            return_vis: Whether results have the drawn image (h, w, 3), RGB.
            show: Whether to show drawn images in a window.
            wait_time: Seconds for which an image is shown; 0 waits for a key.
            draw_bbox: Whether to draw boxes.
            draw_heatmap: Whether to draw heatmaps, below the image.
            radius: Radius of keypoints in pixels.
            thickness: Width of limbs and boxes in pixels.
            kpt_thr: Score below which keypoints are not drawn.
            skeleton_style: ``'mmpose'`` or ``'openpose'``.
            black_background: Whether to draw on black.
            vis_out_dir: Folder for drawn images or the drawn video, or the path of the video,
                ``*.mp4``.
            pred_out_dir: Folder for predictions: a JSON file for each image, or one for a video.
            track: Whether images are successive frames, whose instances get a ``track_id``.
            smooth: Whether to smooth the keypoints of each track over time; needs ``track``.
            skip_unreadable: Whether to skip unreadable images and frames of videos with a
                warning. By default the first raises its error, after the results of those before.

        Returns:
            A generator of one result per image, in order: ``predictions``, a list of one list of
            instances (or of one data sample, with ``img_path`` and ``frame_id``), and
            ``visualization``. Closing it finishes the files that were begun.

        Raises:
            OSError: An input does not exist or cannot be read.
            TypeError: An option is unknown.
            ValueError: A value is impossible, or there is neither a detector nor boxes.
        """
        if out_dir is not None:
            vis_out_dir = f'{out_dir}/visualizations' if vis_out_dir is None else vis_out_dir
            pred_out_dir = f'{out_dir}/predictions' if pred_out_dir is None else pred_out_dir
        options = Options(
            return_datasamples=return_datasamples,
            batch_size=batch_size,
            bboxes=bboxes,
            bbox_thr=bbox_thr,
            nms_thr=nms_thr,
            pose_based_nms=pose_based_nms,
            return_vis=return_vis,
            show=show,
            wait_time=wait_time,
            draw_bbox=draw_bbox,
            draw_heatmap=draw_heatmap,
            radius=radius,
            thickness=thickness,
            kpt_thr=kpt_thr,
            skeleton_style=skeleton_style,
            black_background=black_background,
            vis_out_dir=vis_out_dir or '',
            pred_out_dir=pred_out_dir or '',
            track=track,
            smooth=smooth,
            skip_unreadable=skip_unreadable,
        )
        if bboxes is None and self.detector is None and not self.whole_image:
            raise ValueError(
                'nothing says where instances are: give bboxes=, or build the inferencer with '
                f'det_model= and det_weights=, or with det_model={WHOLE_IMAGE!r} if each image '
                'shows one instance and little else'
            )
        source = open_inputs(inputs, InputReport(strict=not options.skip_unreadable))
        if source.is_live:
            options = replace(options, show=True, batch_size=1)
        boxes = None if bboxes is None else self._given_boxes(options, source)
        return self._run(source, boxes, Outputs(source, self.pose, options), options)

    @names_closest_option
    def to_coco(
        self,
        inputs: Any,
        *,
        bboxes: BBoxes = None,
        recursive: bool = False,
        batch_size: int = 16,
        bbox_thr: float = 0.3,
        nms_thr: float = 0.3,
        pose_based_nms: bool = False,
        track: bool = False,
        smooth: bool = False,
        skip_unreadable: bool = False,
    ) -> list[dict[str, Any]]:
        """Predict poses as COCO results, which ``evaluate_coco_keypoints`` takes.

        :func:`hrnet_plugin.apis.write_coco_results` writes them to a file as they come.

        Args:
            inputs: What a call takes, or paths of images, folders and videos together.
            bboxes: Path of a file of boxes in COCO format, or of a single source boxes per image,
                as a call takes them.
            recursive: Whether to look for images and videos in subfolders, too.
            batch_size: Number of instances in one forward pass of the pose model, and of images in
                one of the detector.
            bbox_thr: Score up to which boxes are dropped, detected ones or those of a file.
            nms_thr: IoU with a better detection above which detections are dropped.
            pose_based_nms: Whether to drop instances with a third of their keypoints near those
                of a better one.
            track: Whether instances of a video get a ``track_id``.
            smooth: Whether to smooth the keypoints of each track over time; needs ``track``.
            skip_unreadable: Whether to skip what cannot be read with a warning, instead of raising
                the first error.

        Returns:
            A dict for each instance: ``image_id``, ``file_name``, ``category_id`` 1,
            ``keypoints`` (x, y and score of each, in pixels), ``score`` and ``bbox`` (x, y, w,
            h); of a video also ``frame`` and ``timestamp`` in seconds, and of a track
            ``track_id``. ``image_id`` is the number that the file is named by, or a running one
            if not all files are named by different numbers.

        Raises:
            OSError: An input does not exist or cannot be read.
            TypeError: An option is unknown.
            ValueError: A value is impossible, or there is neither a detector nor boxes.
        """
        report = InputReport(strict=not skip_unreadable)
        task = CocoTask(inputs, report, bboxes, bbox_thr, self.box_categories, recursive=recursive)
        results = task.run(
            self,
            batch_size=batch_size,
            bbox_thr=bbox_thr,
            nms_thr=nms_thr,
            pose_based_nms=pose_based_nms,
            track=track,
            smooth=smooth,
        )
        coco = [result for of_image in results for result in of_image]
        for note in [*task.file_notes, *task.box_notes()]:
            warnings.warn(note, stacklevel=3)
        return coco

    def _given_boxes(self, options: Options, source: Source) -> GivenBoxes:
        if isinstance(options.bboxes, GivenBoxes):
            return options.bboxes
        if isinstance(options.bboxes, str | Path):
            file = BoxFile(str(options.bboxes), options.bbox_thr, self.box_categories)
            (boxes,) = file.of([source])
            for note in file.notes:
                warnings.warn(note, stacklevel=4)
            return boxes
        assert options.bboxes is not None
        return given_boxes(options.bboxes, source)

    def _run(
        self, source: Source, boxes: GivenBoxes | None, outputs: Outputs, options: Options
    ) -> Generator[Result, None, None]:
        """Read ahead in one thread, draw and write in another, and predict in this one.

        The steps of an image: frame -> boxes -> crops in batches -> sample -> track -> result.
        An error of reading or detecting is raised after the results of the images before it.
        """
        errors: list[Exception] = []
        max_pending = 0 if source.is_live else options.batch_size
        smoother = (
            TrackSmoother(self.pose.sigmas, source.fps, options.smooth) if options.track else None
        )
        bar = tqdm(
            total=len(source) or None, disable=not self.show_progress, unit='image', leave=False
        )
        with (
            closing(outputs),
            ThreadPoolExecutor(max_workers=1) as writer,
            closing(read_ahead(source, max(1, max_pending))) as frames,
            bar,
        ):
            boxed = self._find_boxes(until_error(frames, errors), boxes, options)
            writing: deque[Future] = deque()
            for frame, sample in self._predict(until_error(boxed, errors), max_pending, options):
                if smoother is not None:
                    smoother.update(sample, frame.timestamp)
                if self.calibration is not None:
                    calibrate(sample.pred_instances, self.calibration)
                writing.append(writer.submit(outputs.write, frame, sample))
                while len(writing) > max_pending:
                    yield finish(writing.popleft(), outputs, bar)
            while writing:
                yield finish(writing.popleft(), outputs, bar)
        if boxes is not None and boxes is not options.bboxes:  # else the caller reports the notes
            for note in boxes.notes():
                warnings.warn(note, stacklevel=2)
        if errors:
            raise errors[0]

    def _find_boxes(
        self, frames: Iterator[Frame], boxes: GivenBoxes | None, options: Options
    ) -> Iterator[tuple[Frame, np.ndarray]]:
        """Yield each image with its boxes (N, 5), given, detected, or the whole image."""
        if boxes is not None:
            for frame in frames:
                yield frame, boxes.of(frame)
        elif self.detector is None:
            for frame in frames:
                height, width = frame.image.shape[:2]
                yield frame, as_boxes([[0, 0, width, height]], frame.name)
        else:
            while batch := list(islice(frames, options.batch_size)):
                yield from zip(batch, self.detector(batch, options.bbox_thr, options.nms_thr))

    def _predict(
        self, boxed: Iterable[tuple[Frame, np.ndarray]], max_pending: int, options: Options
    ) -> Iterator[ImageResult]:
        """Yield each image with the sample of its instances."""
        batches = CropBatches(self.pose, options, max_pending)
        for frame, boxes in boxed:
            yield from batches.add(frame, boxes)
        yield from batches.flush()


def finish(writing: Future, outputs: Outputs, bar: tqdm) -> Result:
    """Wait until an image is written, and show it."""
    result, drawn = writing.result()
    if outputs.options.show:
        outputs.show(drawn)
    bar.update()
    return result


def until_error(items: Iterable[T], errors: list[Exception]) -> Iterator[T]:
    """Yield the items before an error, which is appended to ``errors`` instead of raised."""
    try:
        yield from items
    except Exception as error:
        errors.append(error)
