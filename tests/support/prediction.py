"""Fixtures for prediction: random weights, an inferencer, images, a folder of them, a clip."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.datasets import scene_of

from .random_models import DETECTOR, POSE, save_detector, save_pose


@pytest.fixture(scope='session')
def weights(tmp_path_factory) -> Path:
    """A folder with pose.pth and detector.pth."""
    folder = tmp_path_factory.mktemp('weights')
    save_pose(folder / 'pose.pth')
    save_detector(folder / 'detector.pth')
    return folder


@pytest.fixture(scope='session')
def inferencer(weights) -> PoseInferencer:
    return PoseInferencer(
        POSE,
        str(weights / 'pose.pth'),
        device='cpu',
        det_model=DETECTOR,
        det_weights=str(weights / 'detector.pth'),
    )


@pytest.fixture(scope='session')
def images() -> list[np.ndarray]:
    """Three images of one size and a smaller one."""
    sizes = [(320, 240), (320, 240), (160, 240), (320, 240)]
    return [scene_of(2, 'val', i, size).image for i, size in enumerate(sizes)]


@pytest.fixture
def folder(tmp_path, images) -> Path:
    """The images as files."""
    (tmp_path / 'images').mkdir()
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / 'images' / f'{i:012}.png'), image)
    return tmp_path / 'images'


@pytest.fixture(scope='session')
def clip(tmp_path_factory, images) -> Path:
    """A video of 11 frames, 25 a second, in which the image moves to the right."""
    path = tmp_path_factory.mktemp('video') / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), 25, (320, 240))
    for i in range(11):
        writer.write(np.roll(images[0], 3 * i, axis=1))
    writer.release()
    return path
