"""What becomes of results: drawn, written, returned."""

from collections import Counter
from pathlib import Path
from typing import Any, TextIO

import cv2
import mmcv
import mmengine
import numpy as np
from mmpose.registry import VISUALIZERS
from mmpose.structures import PoseDataSample, split_instances

from .inputs import Frame, Images, Source
from .options import Options
from .pose_model import PoseModel

CODEC = 'mp4v'  # comes with OpenCV's wheels, and plays everywhere
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
        folder = options.pred_out_dir and Path(options.pred_out_dir)
        if isinstance(source, Images):
            check_names(source, options)
        else:
            if options.vis_out_dir:
                self.video = VideoFile(video_path(source.name, options.vis_out_dir), source.fps)
            if folder:
                self.predictions = JsonList(folder / f'{Path(source.name).stem}.json')

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
            self.predictions.append(dict(frame_id=frame.index, instances=people))
        elif options.pred_out_dir:
            path = Path(options.pred_out_dir) / f'{Path(frame.name).stem}.json'
            mmengine.dump(people, str(path), indent='  ')
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
        for file in (self.video, self.predictions):
            if file is not None:
                file.close()

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
            self.video.append(image)
        else:
            path = Path(self.options.vis_out_dir) / Path(frame.name).name
            if not mmcv.imwrite(image, str(path)):
                raise OSError(f'{path} cannot be written')


class VideoFile:
    """A video that is written as it comes; its size is that of the first picture."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self.fps = fps
        self.writer: cv2.VideoWriter | None = None

    def append(self, image: np.ndarray) -> None:
        """Add a picture (h, w, 3), BGR."""
        if self.writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fourcc = cv2.VideoWriter.fourcc(*CODEC)
            self.writer = cv2.VideoWriter(str(self.path), fourcc, self.fps, image.shape[1::-1])
            if not self.writer.isOpened():
                raise OSError(f'{self.path} cannot be written as a video by this OpenCV')
        self.writer.write(image)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.release()


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


def video_path(name: str, target: str) -> Path:
    """Where to write the drawn video ``name``.

    Raises:
        ValueError: over itself, or as something else than mp4.
    """
    path = Path(target)
    if not path.suffix:
        path = path / f'{Path(name).stem}.mp4'
    elif path.suffix != '.mp4':
        raise ValueError(f'vis_out_dir={target!r}; expected a folder, or a name that ends in .mp4')
    if path.resolve() == Path(name).resolve():
        raise ValueError(f'{path} would be written over; choose another vis_out_dir')
    return path


def check_names(source: Images, options: Options) -> None:
    """Raise a ValueError if a result would be written over another, or over its picture."""
    if options.vis_out_dir:
        folder = Path(options.vis_out_dir)
        if folder.suffix:
            raise ValueError(f'vis_out_dir={options.vis_out_dir!r}; expected a folder')
        for name in source.names:
            if (folder / Path(name).name).resolve() == Path(name).resolve():
                raise ValueError(f'{name} would be written over; choose another vis_out_dir')
    names: list[str] = []
    if options.vis_out_dir:
        names = [Path(name).name for name in source.names]
    if options.pred_out_dir:
        names = [Path(name).stem for name in source.names]
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise ValueError(
            f'{len(twice)} pictures share their name with another ({twice[0]}, …), and so would '
            'their results: run them in two calls with different folders'
        )
