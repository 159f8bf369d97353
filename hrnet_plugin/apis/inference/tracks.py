"""People of a video: numbered, and smoothed, through its samples."""

import numpy as np
from mmpose.structures import PoseDataSample

from ...functional import OneEuroFilter, Tracker
from ...functional.video.tracking import areas


class Tracks:
    """Adds ``track_ids`` to samples that follow each other.

    Args:
        sigmas: (K,), as of OKS.
        fps: pictures a second.
        smooth: whether to smooth keypoints, too.
    """

    def __init__(self, sigmas: np.ndarray, fps: float, smooth: bool) -> None:
        self.tracker = Tracker(sigmas)
        self.fps = fps
        self.smooth = smooth
        self.filters: dict[int, OneEuroFilter] = {}

    def update(self, sample: PoseDataSample, timestamp: float | None = None) -> None:
        """Number the people of the next sample, and smooth their keypoints.

        Args:
            sample: Result of the next image.
            timestamp: Its time in seconds; if not given, images follow each other at ``fps``.
        """
        people = sample.pred_instances
        numbers = self.tracker.update(people.keypoints, people.keypoint_scores, people.bboxes)
        people.track_ids = numbers
        if self.smooth and len(numbers):
            time = self.tracker.frame / self.fps if timestamp is None else timestamp
            sizes = np.sqrt(areas(people.bboxes))
            people.keypoints = np.stack(
                [
                    self._filter(number)(points, time, max(size, 1.0))
                    for number, points, size in zip(numbers, people.keypoints, sizes)
                ]
            ).astype(people.keypoints.dtype)
        alive = {track.number for track in self.tracker.tracks}
        self.filters = {n: f for n, f in self.filters.items() if n in alive}

    def _filter(self, number: int) -> OneEuroFilter:
        return self.filters.setdefault(int(number), OneEuroFilter())
