"""What becomes of results: drawn, written, returned."""

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
from ..inputs.image_file import IMAGES
from ..inputs.report import counted
from ..inputs.sources import Frame, Images, Source
from .options import Options
from .pose_model import PoseModel

CODEC = 'mp4v'  # comes with OpenCV's wheels, and plays everywhere
# Formats that drawn images are written in; those of other images are written as PNG.
DRAWN = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
Result = dict[str, Any]


class Outputs:
    """Draws and writes one result after the other, as a call's options say.

    Raises:
        ValueError: a folder or file to write to does not fit the inputs.
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
        """Draw and write a picture.

        Returns:
            What MMPose's inferencers return for a picture, and the drawn picture, RGB.
        """
        options = self.options
        people = instances(sample)
        drawn = self._draw(frame, sample) if self.visualizer is not None else None
        if drawn is not None and options.vis_out_dir:
            self._write_picture(frame, drawn)
        if self.predictions is not None:
            self.predictions.append(
                dict(frame_id=frame.index, timestamp=rounded_time(frame), instances=people)
            )
        elif self.predicted:
            mmengine.dump(people, str(self.predicted[frame.index]), indent='  ')
        visualization = None if drawn is None else [drawn] if options.return_vis else []
        predictions = [sample] if options.return_datasamples else [people]
        return dict(visualization=visualization, predictions=predictions), drawn

    def show(self, drawn: np.ndarray) -> None:
        """Show a picture; a window belongs to the main thread."""
        assert self.visualizer is not None
        # A video goes on by itself.
        wait_time = 1e-5 if self.source.is_video else self.options.wait_time
        self.visualizer.show(drawn, win_name=window(self.source), wait_time=wait_time)

    def close(self) -> None:
        """Finish files that hold all pictures."""
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
            window(self.source),
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
            for box, number in zip(sample.pred_instances.bboxes, sample.pred_instances.track_ids):
                place = (int(box[0]) + 2, int(box[1]) + 14)
                cv2.putText(drawn, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 0))
        return drawn

    def _write_picture(self, frame: Frame, drawn: np.ndarray) -> None:
        image = mmcv.rgb2bgr(drawn)
        if self.video is not None:
            self.video.append(image, frame)
        else:
            path = self.drawn[frame.index]
            if not mmcv.imwrite(image, str(path)):
                raise OSError(f'{path} cannot be written')


class VideoFile:
    """A video that is written as it comes; its size is that of the first picture.

    Args:
        path: its name.
        fps: pictures a second.
        note: takes what users have to know of it.
    """

    def __init__(self, path: Path, fps: float, note: Callable[[str], None]) -> None:
        self.path = path
        self.fps = fps
        self.note = note
        self.writer: cv2.VideoWriter | None = None
        self.size = (0, 0)
        self.resized = 0
        self.written = 0
        self.last: Frame | None = None
        self.steps: list[float] = []  # the shortest and the longest time between two frames

    def append(self, image: np.ndarray, frame: Frame) -> None:
        """Add a picture (h, w, 3), BGR, drawn on a frame."""
        if self.writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fourcc = cv2.VideoWriter.fourcc(*CODEC)
            self.size = (image.shape[1], image.shape[0])
            self.writer = cv2.VideoWriter(str(self.path), fourcc, self.fps, self.size)
            if not self.writer.isOpened():
                raise OSError(f'{self.path} cannot be written as a video by this OpenCV')
        if image.shape[1::-1] != self.size:  # which OpenCV would leave out
            image = cv2.resize(image, self.size)
            self.resized += 1
        self.writer.write(image)
        self.written += 1
        self._measure(frame)

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: it does not hold what was written, as on a full disk.
        """
        if self.writer is None:
            return
        self.writer.release()
        capture = cv2.VideoCapture(str(self.path))
        there = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if there < self.written:
            raise OSError(
                f'{self.path} has {there} of {self.written} frames: it could not be written '
                'completely; is the disk full?'
            )
        if self.resized:
            self.note(
                f'{counted(self.resized, "frame")} of another size than the first: in the drawn '
                f'video resized to {self.size[0]}x{self.size[1]}; results are in their own pixels'
            )
        # Containers round times to milliseconds.
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
    """A list in a JSON file, written as it comes; it can be read once it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: TextIO | None = None

    def append(self, item: Any) -> None:
        # MMEngine's knows NumPy's numbers.
        text = mmengine.dump(item, file_format='json')
        self._open().write(f'[\n{text}' if self._open().tell() == 0 else f',\n{text}')

    def close(self) -> None:
        file = self._open()
        file.write('[\n]\n' if file.tell() == 0 else '\n]\n')
        file.close()

    def _open(self) -> TextIO:
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open('w')
        return self.file


def instances(sample: PoseDataSample) -> list[dict[str, Any]]:
    """People as MMPose's dicts, with ``track_id`` if they were tracked."""
    people = split_instances(sample.pred_instances)
    for person, number in zip(people, sample.pred_instances.get('track_ids', ())):
        person['track_id'] = int(number)
    return people


def visualizer(pose: PoseModel, options: Options) -> Any:
    """The config's visualizer, new, so that calls do not meet in it."""
    settings = {**(pose.cfg.get('visualizer') or dict(type='PoseLocalVisualizer'))}
    cls = VISUALIZERS.get(settings.pop('type'))
    settings.pop('_scope_', None)  # of the config that it was inherited from
    settings |= dict(vis_backends=None, radius=options.radius, line_width=options.thickness)
    made = cls(**settings)
    made.set_dataset_meta(pose.dataset_meta, options.skeleton_style)
    return made


def window(source: Source) -> str:
    return 'pictures' if isinstance(source, Images) else source.name


def drawn_paths(source: Source, target: str) -> list[Path]:
    """Return where to write each drawn image, or the drawn video.

    Args:
        source: Images or a video.
        target: A folder; or of a video a file, ``*.mp4``, if there is no folder of that name.

    Raises:
        OSError: The folder is a file, or below one.
        ValueError: Another file name is given.
    """
    path = Path(target)
    ending = path.suffix.lower()
    # Folders may have dots in their names; endings of images and videos are a mistake.
    if ending in (*IMAGES, *VIDEOS) and not path.is_dir():
        if source.is_video and ending == '.mp4':
            check_out_folder('vis_out_dir', path.parent)
            return [path]
        more = ', or a name that ends in .mp4' if source.is_video else ''
        raise ValueError(f'vis_out_dir={target!r}; expected a folder{more}')
    check_out_folder('vis_out_dir', path)
    files = distinct_files(source.labels, video_ending if source.is_video else drawn_ending)
    return [path / file for file in files]


def call_targets(sources: Sequence[Source], folder: str) -> list[list[Path]]:
    """Return where to write each source's drawn images or video, all in one folder."""
    videos = [source.labels[0] for source in sources if source.is_video]
    video_files = iter(distinct_files(videos, video_ending))
    return [
        [Path(folder, next(video_files))]
        if source.is_video
        else [Path(folder, file) for file in distinct_files(source.labels, drawn_ending)]
        for source in sources
    ]


def video_ending(name: str) -> str:
    """Return the ending of a drawn video."""
    return '.mp4'


def drawn_ending(name: str) -> str:
    """Return the ending of a drawn image: its own, or PNG's where OpenCV may not write it."""
    ending = Path(name).suffix
    return ending if ending.lower() in DRAWN else '.png'


def rounded_time(frame: Frame) -> float | None:
    """Return the timestamp of a frame in seconds, to a microsecond."""
    return None if frame.timestamp is None else round(frame.timestamp, 6)
