"""Crops of several images in one batch."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from mmengine.structures import InstanceData
from mmpose.evaluation.functional import nearby_joints_nms
from mmpose.structures import PoseDataSample

from ..inputs.images import Frame
from .backends import Crop
from .options import Options
from .pose_model import PoseModel

ImageResult = tuple[Frame, PoseDataSample]


@dataclass
class _PendingImage:
    """An image that waits until all of its instances are predicted."""

    frame: Frame
    num_instances: int
    instances: list[PoseDataSample] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return len(self.instances) == self.num_instances


class CropBatches:
    """Predict instances in batches that span images, and return images in their order.

    Args:
        pose: Pose model.
        options: Options of the call: ``batch_size``, ``draw_heatmap`` and ``pose_based_nms``.
        max_pending: How many images may wait for a full batch.
    """

    def __init__(self, pose: PoseModel, options: Options, max_pending: int) -> None:
        self.pose = pose
        self.options = options
        self.max_pending = max_pending
        self.pending: deque[_PendingImage] = deque()
        self.crops: list[tuple[_PendingImage, Crop]] = []

    def add(self, frame: Frame, boxes: np.ndarray) -> list[ImageResult]:
        """Add an image.

        Args:
            frame: The image.
            boxes: (N, 5): x1, y1, x2, y2 in pixels and a score.

        Returns:
            Images that are complete by now, with all of their instances in one sample each.
        """
        image = _PendingImage(frame, len(boxes))
        self.pending.append(image)
        for box in boxes:
            self.crops.append((image, self.pose.crop(frame, box)))
            if len(self.crops) == self.options.batch_size:
                self._predict()
        results = self._pop_complete()
        return results if len(self.pending) <= self.max_pending else results + self.flush()

    def flush(self) -> list[ImageResult]:
        """Predict what is left, and return the images that were pending."""
        if self.crops:
            self._predict()
        return self._pop_complete()

    def _predict(self) -> None:
        samples = self.pose.predict([crop for _, crop in self.crops], self.options.draw_heatmap)
        for (image, _), sample in zip(self.crops, samples):
            image.instances.append(sample)
        self.crops.clear()

    def _pop_complete(self) -> list[ImageResult]:
        results = []
        while self.pending and self.pending[0].is_complete:
            image = self.pending.popleft()
            results.append((image.frame, self._merge(image)))
        return results

    def _merge(self, image: _PendingImage) -> PoseDataSample:
        frame = image.frame
        sample = self.pose.merge(frame, image.instances, self.options.draw_heatmap)
        if self.options.pose_based_nms and len(sample.pred_instances):
            sample.pred_instances = pose_nms(sample.pred_instances)
        sample.set_metainfo(dict(frame_id=frame.index, timestamp=frame.timestamp))
        return sample


def pose_nms(instances: InstanceData) -> InstanceData:
    """Drop instances with more than a third of their keypoints near those of a better one.

    This is MMPose's ``nearby_joints_nms``, as its inferencers use it.
    """
    poses = [
        dict(keypoints=keypoints, score=score)
        for keypoints, score in zip(instances.keypoints, instances.bbox_scores)
    ]
    num_keypoints = instances.keypoints.shape[1]
    return instances[nearby_joints_nms(poses, num_nearby_joints_thr=num_keypoints // 3)]
