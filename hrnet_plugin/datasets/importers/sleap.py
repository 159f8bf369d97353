"""SLEAP's files (``.slp``, ``.pkg.slp``), read by sleap-io."""

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np

from .images import files_of
from .labels import HIDDEN, VISIBLE, Image, Instance, Keypoint, Labels, Skeleton, Source, Tally

PREDICTED = 'predicted instances, which no annotator has corrected'


def read_sleap(source: Source) -> Labels:
    """Read SLEAP's files; frames of videos and of packages become images.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged, or its videos are not there.
        ImportError: sleap-io is not installed.
    """
    try:
        import sleap_io
    except ImportError as error:
        raise ImportError(
            f"{source.files[0]} is SLEAP's, which needs sleap-io: pip install sleap-io",
            name=error.name,
        ) from error
    labels = Labels({}, [], Tally())
    seen: dict[tuple[str, int], Path] = {}
    taken: Counter[str] = Counter()
    for file in source.files:
        try:
            content = sleap_io.load_slp(str(file), open_videos=False)
            frames = list(content.labeled_frames)
        except Exception as error:  # of h5py, JSON or sleap-io itself
            reason = ' '.join(str(error).split())[:200]
            raise ValueError(
                f'{file} cannot be read as a file of SLEAP: {type(error).__name__}: {reason}'
            ) from error
        for number, skeleton in enumerate(content.skeletons):
            _add_skeleton(file, number, skeleton, labels)
        videos = {id(v): _Video(v, file, source, taken) for v in content.videos}
        for frame in frames:
            key = videos[id(frame.video)].origin, int(frame.frame_idx)
            if other := seen.get(key):
                raise ValueError(
                    f'frame {key[1]} of {key[0]} is labelled twice, in {other} and in {file}; '
                    'give one of the files'
                )
            seen[key] = file
            labels.images.append(_image(frame, videos[id(frame.video)], file, labels.tally))
    if not labels.skeletons:
        raise ValueError(f'{source.files[0]} has no skeleton; expected labelled frames')
    return labels


def _add_skeleton(file: Path, number: int, skeleton: Any, labels: Labels) -> None:
    symmetries = tuple(tuple(sorted(pair)) for pair in skeleton.symmetry_names)
    row = Skeleton(
        tuple(skeleton.node_names),
        tuple((a, b) for a, b in skeleton.edge_names),
        tuple((pair[0], pair[1]) for pair in symmetries) or None,
    )
    known = labels.skeletons.setdefault(_category(skeleton), row)
    if known.names != row.names:
        raise ValueError(
            f'{file}: skeleton {number} ({_category(skeleton)!r}) has other keypoints than '
            'another of that name; import each file on its own'
        )


def _category(skeleton: Any) -> str:
    return str(skeleton.name or 'object')


def _image(frame: Any, video: '_Video', file: Path, tally: Tally) -> Image:
    name, path, read = video.frame(int(frame.frame_idx))
    image = Image(name, file, path, read, group=video.name)
    tally.find(images=1)
    for instance in frame.instances:
        where = f'{name}, instance of {_category(instance.skeleton)!r}'
        points = {}
        for point in instance.points:
            x, y = map(float, point['xy'])
            if math.isnan(x) or math.isnan(y):
                continue
            # sleap-io keeps apart where a point is and whether it can be seen
            visibility = VISIBLE if point['visible'] else HIDDEN
            points[str(point['name'])] = Keypoint(x, y, visibility)
        tally.find(instances=1, points=len(points))
        if hasattr(instance, 'score'):
            tally.leave_out(PREDICTED, where, instances=1, points=len(points))
        else:
            image.instances.append(Instance(points, category=_category(instance.skeleton)))
    return image


class _Video:
    """A video of a file: images, frames within the file, or a video file.

    Args:
        video: sleap-io's.
        file: The file that names it.
        source: What is imported.
        taken: How often each name was given.
    """

    def __init__(self, video: Any, file: Path, source: Source, taken: Counter[str]) -> None:
        self._video, self._file = video, file
        self._folders = [folder for folder in (source.images, source.folder) if folder]
        origin = getattr(video, 'source_video', None) or video
        first = origin.filename[0] if isinstance(origin.filename, list) else origin.filename
        self.origin = str(first)
        path = PurePath(str(first).replace('\\', '/'))
        stem = path.parent.name if isinstance(origin.filename, list) else path.stem
        stem = stem or file.name.partition('.')[0]
        taken[stem] += 1
        self.name = stem if taken[stem] == 1 else f'{stem}_{taken[stem]}'
        self._is_open = False

    def frame(self, index: int) -> tuple[str, Path | None, Callable[[], bytes] | None]:
        """Return the name of a frame, its file, and a function that returns its content."""
        names = self._video.filename
        if isinstance(names, list):
            if not 0 <= index < len(names):
                raise ValueError(
                    f'{self._file}: frame {index} of {self.name!r} is labelled, of {len(names)} '
                    'images'
                )
            return str(names[index]), None, None
        return f'{self.name}/{index:06d}.png', None, partial(self._read, index)

    def _read(self, index: int) -> bytes:
        """Decode a frame, and encode it without loss."""
        if not self._is_open:
            self._open()
        try:
            frame = np.asarray(self._video[index])
        except Exception as error:  # of any reader of videos
            raise ValueError(
                f'{self._file}: frame {index} of {self._video.filename} cannot be read: '
                f'{type(error).__name__}: {error}'
            ) from error
        if frame.ndim == 3 and frame.shape[2] == 3:
            frame = frame[..., ::-1]
        is_written, data = cv2.imencode('.png', np.ascontiguousarray(frame))
        if not is_written:
            raise ValueError(f'{self._file}: frame {index} of {self.name!r} cannot be written')
        return data.tobytes()

    def _open(self) -> None:
        path = Path(self._video.filename)
        if not path.is_file():
            name = PurePath(str(path).replace('\\', '/')).name
            files = [f for folder in self._folders for f in files_of(folder) if f.name == name]
            if not files:
                raise FileNotFoundError(
                    f'{self._file}: its video {path} is not there, nor a file of that name in '
                    f'{self._folders[-1]}; give its folder: --images, or export a .pkg.slp, which '
                    'contains its frames'
                )
            self._video.replace_filename(str(files[0]))
        self._video.open()
        self._is_open = True
