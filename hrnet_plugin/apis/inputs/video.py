"""Read the frames of video files and cameras, past damaged ones."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from .containers import is_truncated
from .images import DEFAULT_FPS, Frame, numbered_name
from .report import InputReport, counted

HIGH_FPS = 120.0  # Above it, a container may state the unit of its timestamps instead.
# Containers that state the number of frames; others state a duration, and the number is estimated.
EXACT_COUNT = ('.avi', '.m4v', '.mov', '.mp4')
# How many consecutive frames may be damaged: as many as the container still counts, within limits.
MIN_DAMAGED, MAX_DAMAGED = 8, 100_000
MAX_SPANS = 10


@dataclass
class Video:
    """A video file or a camera, as an iterable of frames.

    Damaged frames are skipped and reported; frames after them keep their index.

    Args:
        path: Path of a video file, or number of a camera.
        name: Name for results.
        report: Report that takes unreadable frames.

    Attributes:
        fps: Average number of frames per second.
        length: Number of frames that the container states; 0 if it does not.
        is_live: Whether it is a camera.
        labels: List with the one name of results and output files.

    Raises:
        OSError: OpenCV cannot open it, or it has no readable frame.
    """

    path: str | int
    name: str
    report: InputReport = field(default_factory=InputReport)
    is_video: bool = True

    def __post_init__(self) -> None:
        self.is_live = isinstance(self.path, int)
        self.labels = [Path(self.name).name]
        with closing(_Capture(self.path)) as capture:
            fps = capture.get(cv2.CAP_PROP_FPS)
            self.fps = fps if fps > 0 else DEFAULT_FPS
            self.length = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
            if self.is_live:
                return
            if capture.read_past(self._max_damaged(0))[1] is None:
                raise OSError(f'{self.path} has no frame that OpenCV can read')
            if self.fps > HIGH_FPS:
                self.fps = capture.measured_fps() or self.fps

    @property
    def names(self) -> list[str]:
        """List with the one name of the video."""
        return [self.name]

    def image_size(self, index: int) -> tuple[int, int] | None:
        """Return the width and height of frames in pixels, without decoding any.

        Args:
            index: 0; a video is one input.

        Returns:
            (w, h), or None if the container does not tell, or of a camera.
        """
        if self.is_live:
            return None
        with closing(_Capture(self.path)) as capture:
            width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
            height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        return (width, height) if width > 0 < height else None

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        index = num_read = num_missing = 0
        timestamp = -1 / self.fps
        damaged: list[int] = []
        with closing(_Capture(self.path)) as capture:
            try:
                while True:
                    failures, image = capture.read_past(self._max_damaged(index))
                    if image is None:
                        break
                    damaged += range(index, index + failures)
                    if failures and self.report.strict:
                        self.report.fail(ValueError(self._problems(num_read, damaged, 0)))
                    index += failures
                    now = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                    # Cameras, and containers without timestamps, always say 0.
                    timestamp = now if now > timestamp else timestamp + 1 / self.fps
                    yield Frame(index, numbered_name(index), image, timestamp)
                    index, num_read = index + 1, num_read + 1
                num_missing = self._num_missing(index, timestamp)
            finally:  # also if the caller stops early
                if not (damaged and self.report.strict):
                    self._report(num_read, damaged, num_missing)

    def _max_damaged(self, index: int) -> int:
        """Return how many consecutive frames may be damaged from an index on."""
        if self.is_live:
            return 0
        return min(max(self.length - index, MIN_DAMAGED), MAX_DAMAGED)

    def _num_missing(self, index: int, timestamp: float) -> int:
        """Return how many frames the container states beyond the last one, ``index - 1``.

        Recorders that drop frames, and MP4 files trimmed by an edit list, count frames that are
        not there; their timestamps reach the end nevertheless.
        """
        if self.is_live or not self.length:
            return 0
        missing = float(self.length - index)
        if index == 1 or timestamp > 0:
            missing = min(missing, self.length - 1 - timestamp * self.fps)
        exact = Path(str(self.path)).suffix.lower() in EXACT_COUNT
        tolerance = 0.5 if exact else max(1.5, 0.01 * self.length)
        return round(missing) if missing > tolerance else 0

    def _report(self, num_read: int, damaged: list[int], num_missing: int) -> None:
        path = str(self.path)
        if damaged or (num_missing and (path.lower().endswith('.avi') or is_truncated(path))):
            self.report.fail(ValueError(self._problems(num_read, damaged, num_missing)))
        elif num_missing:
            self.report.note(
                f'{num_read} of the {self.length} frames that its header counts were read; the '
                'others are damaged, or were cut off with an edit list',
                path,
            )

    def _problems(self, num_read: int, damaged: list[int], num_missing: int) -> str:
        """Return a message that says which frames cannot be read."""
        problems = []
        if damaged:
            noun = 'frame' if len(damaged) == 1 else 'frames'
            problems.append(f'{noun} {format_spans(damaged)} cannot be decoded')
        if num_missing:
            problems.append(
                f'it ends {counted(num_missing, "frame")} early: the file is truncated or damaged'
            )
        total = max(self.length, num_read + len(damaged))
        return f'{self.path}: {num_read} of {total} frames were read; {"; ".join(problems)}'


class _Capture:
    """OpenCV's capture, which raises if it cannot be opened.

    Raises:
        OSError: OpenCV cannot open the file or camera.
    """

    def __init__(self, path: str | int) -> None:
        self.capture = cv2.VideoCapture(path)
        self.get, self.read, self.close = (
            self.capture.get,
            self.capture.read,
            self.capture.release,
        )
        if not self.capture.isOpened():
            if isinstance(path, int):
                raise OSError(f'camera {path} cannot be opened by OpenCV: there is no such camera')
            reason = 'it is truncated' if is_truncated(path) else 'it is damaged or not a video'
            raise OSError(f'{path} cannot be opened by OpenCV: {reason}')

    def read_past(self, max_damaged: int) -> tuple[int, np.ndarray | None]:
        """Read the next frame, past damaged ones.

        Args:
            max_damaged: How many frames to skip at most.

        Returns:
            The number of damaged frames, and the frame (h, w, 3), BGR uint8, or None at the end.
        """
        for failures in range(max_damaged + 1):
            success, image = self.read()
            if success:
                return failures, image
        return 0, None

    def measured_fps(self, num_frames: int = 10) -> float:
        """Return frames per second by the next frames' timestamps; 0 if there are none."""
        times: list[float] = []
        while len(times) < num_frames and self.read()[0]:
            times.append(self.get(cv2.CAP_PROP_POS_MSEC))
        steps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
        return 1000 / median(steps) if steps else 0.0


def format_spans(numbers: Sequence[int]) -> str:
    """Format increasing numbers as spans, the first ones only.

    >>> format_spans([3, 5, 6, 7])
    '3, 5-7'
    """
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number])
    texts = ['-'.join(map(str, span)) for span in spans]
    return ', '.join([*texts[:MAX_SPANS], *['…'] * (len(texts) > MAX_SPANS)])
