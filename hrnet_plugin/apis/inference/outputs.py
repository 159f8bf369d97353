"""Draw results, write them, and return them in MMPose's form."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import cv2
import mmcv
import mmengine
import numpy as np
from mmpose.registry import VISUALIZERS
from mmpose.structures import PoseDataSample, split_instances

from ..inputs.file_names import check_out_folder, check_targets, distinct_files
from ..inputs.folders import VIDEOS
from ..inputs.images import IMAGES, Frame, Images
from ..inputs.report import counted
from ..inputs.sources import Source
from .options import Options
from .pose_model import PoseModel

CODEC = 'mp4v'  # Every wheel of OpenCV has it, and every player plays it.
# Formats that drawn images keep; others become PNG.
DRAWN = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
Result = dict[str, Any]


class Outputs:
    """Draw and write one result after the other, as the options of a call say.

    Args:
        source: Images or a video.
        pose: Pose model, whose config has the visualizer.
        options: Options of the call.

    Raises:
        OSError: A folder to write to is a file, or a file to write is a folder.
        ValueError: A file to write is an input, or has a suffix that does not fit.
    """

    def __init__(self, source: Source, pose: PoseModel, options: Options) -> None:
        self.source = source
        self.options = options
        self.visualizer = visualizer(pose, options) if options.draws else None
        self.video: VideoFile | None = None
        self.predictions: JsonList | None = None
        self.drawn: list[Path] = []
        self.predicted: list[Path] = []
        if options.vis_out_dir:
            self.drawn = drawn_paths(source, options.vis_out_dir)
            check_targets('vis_out_dir', self.drawn, source.names)
        if options.pred_out_dir:
            check_out_folder('pred_out_dir', options.pred_out_dir)
            files = distinct_files(source.labels, lambda label: '.json')
            self.predicted = [Path(options.pred_out_dir, file) for file in files]
            check_targets('pred_out_dir', self.predicted, source.names)
        if source.is_video:
            if self.drawn:
                self.video = VideoFile(self.drawn[0], source.fps, self._note)
            if self.predicted:
                self.predictions = JsonList(self.predicted[0])

    def write(self, frame: Frame, sample: PoseDataSample) -> tuple[Result, np.ndarray | None]:
        """Draw and write an image.

        Args:
            frame: The image.
            sample: Its instances.

        Returns:
            The result as MMPose's inferencers return it, and the drawn image (h, w, 3), RGB.
        """
        options = self.options
        instances = split_tracked(sample)
        drawn = self._draw(frame, sample) if self.visualizer is not None else None
        if drawn is not None and options.vis_out_dir:
            self._write_drawn(frame, drawn)
        if self.predictions is not None:
            self.predictions.append(
                dict(frame_id=frame.index, timestamp=rounded_time(frame), instances=instances)
            )
        elif self.predicted:
            mmengine.dump(instances, str(self.predicted[frame.index]), indent='  ')
        visualization = None if drawn is None else [drawn] if options.return_vis else []
        predictions = [sample] if options.return_datasamples else [instances]
        return dict(visualization=visualization, predictions=predictions), drawn

    def show(self, drawn: np.ndarray) -> None:
        """Show a drawn image (h, w, 3), RGB, in the main thread, to which windows belong."""
        assert self.visualizer is not None
        # A video does not wait.
        wait_time = 1e-5 if self.source.is_video else self.options.wait_time
        self.visualizer.show(drawn, win_name=window_name(self.source), wait_time=wait_time)

    def close(self) -> None:
        """Finish files that hold several images."""
        for file in (self.predictions, self.video):  # the video may turn out to be incomplete
            if file is not None:
                file.close()

    def _note(self, message: str) -> None:
        self.source.report.note(message, self.source.names[0])

    def _draw(self, frame: Frame, sample: PoseDataSample) -> np.ndarray:
        assert self.visualizer is not None
        options = self.options
        image = mmcv.bgr2rgb(frame.image)
        drawn = self.visualizer.add_datasample(
            window_name(self.source),
            np.zeros_like(image) if options.black_background else image,
            sample,
            draw_gt=False,
            draw_bbox=options.draw_bbox,
            draw_heatmap=options.draw_heatmap,
            skeleton_style=options.skeleton_style,
            kpt_thr=options.kpt_thr,
        )
        if options.track:
            drawn = np.ascontiguousarray(drawn)
            for box, track_id in zip(
                sample.pred_instances.bboxes, sample.pred_instances.track_ids
            ):
                position = (int(box[0]) + 2, int(box[1]) + 14)
                cv2.putText(
                    drawn, str(track_id), position, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 0)
                )
        return drawn

    def _write_drawn(self, frame: Frame, drawn: np.ndarray) -> None:
        image = mmcv.rgb2bgr(drawn)
        if self.video is not None:
            self.video.append(image, frame)
        else:
            path = self.drawn[frame.index]
            if not mmcv.imwrite(image, str(path)):
                raise OSError(f'{path} cannot be written')


class VideoFile:
    """A video that is written frame by frame, in the size of the first one.

    Args:
        path: Path of the file.
        fps: Frames per second.
        note: Function that takes what users need to know of the video.
    """

    def __init__(self, path: Path, fps: float, note: Callable[[str], None]) -> None:
        self.path = path
        self.fps = fps
        self.note = note
        self.writer: cv2.VideoWriter | None = None
        self.size = (0, 0)
        self.num_resized = 0
        self.num_written = 0
        self.last: Frame | None = None
        self.steps: list[float] = []  # shortest and longest time between two frames, in seconds

    def append(self, image: np.ndarray, frame: Frame) -> None:
        """Add a drawn frame.

        Args:
            image: Drawn image (h, w, 3), BGR uint8.
            frame: The frame that it shows.

        Raises:
            OSError: OpenCV cannot write a video there.
        """
        if self.writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fourcc = cv2.VideoWriter.fourcc(*CODEC)
            self.size = (image.shape[1], image.shape[0])
            self.writer = cv2.VideoWriter(str(self.path), fourcc, self.fps, self.size)
            if not self.writer.isOpened():
                raise OSError(f'{self.path} cannot be written as a video by this OpenCV')
        if image.shape[1::-1] != self.size:  # OpenCV would skip it
            image = cv2.resize(image, self.size)
            self.num_resized += 1
        self.writer.write(image)
        self.num_written += 1
        self._measure(frame)

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: The file lacks frames, as on a full disk.
        """
        if self.writer is None:
            return
        self.writer.release()
        capture = cv2.VideoCapture(str(self.path))
        num_stored = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if num_stored < self.num_written:
            raise OSError(
                f'{self.path} has {num_stored} of {self.num_written} frames: it could not be '
                'written completely; is the disk full?'
            )
        if self.num_resized:
            self.note(
                f'{counted(self.num_resized, "frame")} of another size than the first: in the '
                f'drawn video resized to {self.size[0]}x{self.size[1]}; results are in their own '
                'pixels'
            )
        # Containers round timestamps to milliseconds.
        if self.steps and self.steps[1] - self.steps[0] > max(0.25 / self.fps, 0.002):
            self.note(
                f'has a variable frame rate (a frame lasts {self.steps[0] * 1000:.0f} to '
                f'{self.steps[1] * 1000:.0f} ms): the drawn video has its average, '
                f'{self.fps:.4g} frames a second; results have the timestamp of each frame'
            )

    def _measure(self, frame: Frame) -> None:
        last, self.last = self.last, frame
        if last is None or last.index + 1 != frame.index:
            return
        if frame.timestamp is not None and last.timestamp is not None:
            step = frame.timestamp - last.timestamp
            low, high = self.steps or (step, step)
            self.steps = [min(low, step), max(high, step)]


class JsonList:
    """A list in a JSON file that is written item by item, and complete once it is closed.

    Args:
        path: Path of the file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: TextIO | None = None

    def append(self, item: Any) -> None:
        """Write an item."""
        # MMEngine's function converts NumPy's numbers.
        text = mmengine.dump(item, file_format='json')
        self._open().write(f'[\n{text}' if self._open().tell() == 0 else f',\n{text}')

    def close(self) -> None:
        """Finish the file."""
        file = self._open()
        file.write('[\n]\n' if file.tell() == 0 else '\n]\n')
        file.close()

    def _open(self) -> TextIO:
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open('w')
        return self.file


def split_tracked(sample: PoseDataSample) -> list[dict[str, Any]]:
    """Return the instances of a sample as MMPose's dicts, with ``track_id`` if tracked.

    Instances with calibrated scores have ``score``, too.
    """
    instances = split_instances(sample.pred_instances)
    for instance, score in zip(instances, sample.pred_instances.get('scores', ())):
        instance['score'] = float(score)
    for instance, track_id in zip(instances, sample.pred_instances.get('track_ids', ())):
        instance['track_id'] = int(track_id)
    return instances


def visualizer(pose: PoseModel, options: Options) -> Any:
    """Build the config's visualizer anew, so that calls do not share its state."""
    settings = {**(pose.cfg.get('visualizer') or dict(type='PoseLocalVisualizer'))}
    cls = VISUALIZERS.get(settings.pop('type'))
    settings.pop('_scope_', None)  # of a config that it was inherited from
    settings |= dict(vis_backends=None, radius=options.radius, line_width=options.thickness)
    built = cls(**settings)
    built.set_dataset_meta(pose.dataset_meta, options.skeleton_style)
    return built


def window_name(source: Source) -> str:
    """Return the title of the window that shows a source."""
    return 'images' if isinstance(source, Images) else source.name


def drawn_paths(source: Source, target: str) -> list[Path]:
    """Return the paths of drawn images, or of the drawn video.

    Args:
        source: Images or a video.
        target: Folder; or of a video a file, ``*.mp4``, if no folder has that name.

    Returns:
        A path for each image, or one for a video.

    Raises:
        OSError: The folder is a file, or below one.
        ValueError: Another file name is given.
    """
    path = Path(target)
    suffix = path.suffix.lower()
    # Folders may have dots in their names; a suffix of images or videos is a mistake.
    if suffix in (*IMAGES, *VIDEOS) and not path.is_dir():
        if source.is_video and suffix == '.mp4':
            check_out_folder('vis_out_dir', path.parent)
            return [path]
        more = ', or a name that ends in .mp4' if source.is_video else ''
        raise ValueError(f'vis_out_dir={target!r}; expected a folder{more}')
    check_out_folder('vis_out_dir', path)
    files = distinct_files(source.labels, video_suffix if source.is_video else drawn_suffix)
    return [path / file for file in files]


def call_targets(sources: Sequence[Source], folder: str) -> list[list[Path]]:
    """Return the paths of the drawn images or video of each source, all in one folder."""
    videos = [source.labels[0] for source in sources if source.is_video]
    video_files = iter(distinct_files(videos, video_suffix))
    return [
        [Path(folder, next(video_files))]
        if source.is_video
        else [Path(folder, file) for file in distinct_files(source.labels, drawn_suffix)]
        for source in sources
    ]


def video_suffix(name: str) -> str:
    """Return the suffix of a drawn video."""
    return '.mp4'


def drawn_suffix(name: str) -> str:
    """Return the suffix of a drawn image: its own, or PNG's where OpenCV may not write it."""
    suffix = Path(name).suffix
    return suffix if suffix.lower() in DRAWN else '.png'


def rounded_time(frame: Frame) -> float | None:
    """Return the timestamp of a frame in seconds, to a microsecond."""
    return None if frame.timestamp is None else round(frame.timestamp, 6)
