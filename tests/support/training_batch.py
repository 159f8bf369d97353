"""A batch for a step of training, without a dataset."""

from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample
from torch import Tensor


def random_batch(codec: Any, num_keypoints: int) -> tuple[Tensor, list[PoseDataSample]]:
    """Return two random images, and samples with heatmaps of random keypoints."""
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(2):
        keypoints = rng.uniform(8, 56, (1, num_keypoints, 2)).astype(np.float32)
        encoded = codec.encode(keypoints, np.ones((1, num_keypoints), np.float32))
        sample = PoseDataSample()
        sample.gt_instance_labels = InstanceData(
            keypoint_weights=torch.from_numpy(encoded['keypoint_weights'])
        )
        sample.gt_fields = PixelData(heatmaps=torch.from_numpy(encoded['heatmaps']))
        samples.append(sample)
    width, height = codec.input_size
    return torch.rand(2, 3, height, width), samples
