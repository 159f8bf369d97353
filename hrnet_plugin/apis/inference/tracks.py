"""Track the instances of a video, and smooth their keypoints over time."""

import numpy as np
from mmpose.structures import PoseDataSample

from ...functional import OneEuroFilter, Tracker
from ...functional.video.tracking import areas


class TrackSmoother:
    """Add ``track_ids`` to successive samples, and smooth the keypoints of each track.

    Args:
        sigmas: (K,), the keypoint constants of OKS.
        fps: Frames per second.
        smooth: Whether to smooth keypoints, too.
    """

    def __init__(self, sigmas: np.ndarray, fps: float, smooth: bool) -> None:
        self.tracker = Tracker(sigmas)
        self.fps = fps
        self.smooth = smooth
        self.filters: dict[int, OneEuroFilter] = {}

    def update(self, sample: PoseDataSample, timestamp: float | None = None) -> None:
        """Add the next sample: give it ``track_ids``, and smooth its keypoints in place.

        Args:
            sample: Result of the next image.
            timestamp: Its time in seconds; by default, images follow each other at ``fps``.
        """
        instances = sample.pred_instances
        track_ids = self.tracker.update(
            instances.keypoints, instances.keypoint_scores, instances.bboxes
        )
        instances.track_ids = track_ids
        if self.smooth and len(track_ids):
            time = self.tracker.frame / self.fps if timestamp is None else timestamp
            sizes = np.sqrt(areas(instances.bboxes))
            instances.keypoints = np.stack(
                [
                    self._filter(track_id)(keypoints, time, max(size, 1.0))
                    for track_id, keypoints, size in zip(track_ids, instances.keypoints, sizes)
                ]
            ).astype(instances.keypoints.dtype)
        alive = {track.number for track in self.tracker.tracks}
        self.filters = {i: f for i, f in self.filters.items() if i in alive}

    def _filter(self, track_id: int) -> OneEuroFilter:
        return self.filters.setdefault(int(track_id), OneEuroFilter())
