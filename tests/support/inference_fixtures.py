"""Fixtures of inferencers and their inputs, for the tests of apis and of the predict command."""

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:  # importing it takes seconds, which other tests need not wait for
    from hrnet_plugin.apis import PoseInferencer


@pytest.fixture(scope='session')
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints pose.pth and detector.pth."""
    from .random_models import save_detector, save_pose

    folder = tmp_path_factory.mktemp('weights')
    save_pose(folder / 'pose.pth')
    save_detector(folder / 'detector.pth')
    return folder


@pytest.fixture(scope='session')
def inferencer(weights: Path) -> 'PoseInferencer':
    """An inferencer with a detector."""
    from hrnet_plugin.apis import PoseInferencer

    from .random_models import DETECTOR, POSE

    return PoseInferencer(
        POSE,
        str(weights / 'pose.pth'),
        device='cpu',
        det_model=DETECTOR,
        det_weights=str(weights / 'detector.pth'),
    )


@pytest.fixture(scope='session')
def boxes_only(weights: Path) -> 'PoseInferencer':
    """An inferencer without a detector."""
    from hrnet_plugin.apis import PoseInferencer

    from .random_models import POSE

    return PoseInferencer(POSE, str(weights / 'pose.pth'), device='cpu')


@pytest.fixture(scope='session')
def images() -> list[np.ndarray]:
    """Three images of one size and a smaller one, (h, w, 3)."""
    from hrnet_plugin.datasets import scene_of

    sizes = [(320, 240), (320, 240), (160, 240), (320, 240)]
    return [scene_of(2, 'val', i, size).image for i, size in enumerate(sizes)]


@pytest.fixture
def folder(tmp_path: Path, images: list[np.ndarray]) -> Path:
    """The images as files."""
    (tmp_path / 'images').mkdir()
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / 'images' / f'{i:012}.png'), image)
    return tmp_path / 'images'


@pytest.fixture(scope='session')
def clip(tmp_path_factory: pytest.TempPathFactory, images: list[np.ndarray]) -> Path:
    """A video of 11 frames, 25 a second, whose content moves to the right."""
    path = tmp_path_factory.mktemp('video') / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), 25, (320, 240))
    for i in range(11):
        writer.write(np.roll(images[0], 3 * i, axis=1))
    writer.release()
    return path


@pytest.fixture(scope='session')
def exported(weights: Path) -> Path:
    """The pose model of ``weights`` as an ONNX file."""
    pytest.importorskip('onnx')
    from hrnet_plugin.apis.inference.export import export_files

    from .random_models import POSE

    path = weights / 'pose.onnx'
    export_files(POSE, str(weights / 'pose.pth'), path)
    return path


@pytest.fixture(scope='session')
def small_detector(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of the config and the weights of a small detector of three classes."""
    from .detector_models import detector_config, save_detector

    folder = tmp_path_factory.mktemp('detector')
    cfg = detector_config(
        ('cat', 'dog', 'person'), test_cfg=dict(score_thr=0.1), pad=dict(size_divisor=32)
    )
    cfg.dump(folder / 'detector.py')
    save_detector(cfg, folder / 'detector.pth')
    return str(folder / 'detector.py'), str(folder / 'detector.pth')


@pytest.fixture(scope='session')
def exported_detector(small_detector: tuple[str, str]) -> Path:
    """``small_detector`` as an ONNX file, which takes images of any size."""
    pytest.importorskip('onnx')
    from hrnet_plugin.apis import export_detector_file

    path = Path(small_detector[0]).with_name('detector.onnx')
    export_detector_file(*small_detector, path)
    return path
