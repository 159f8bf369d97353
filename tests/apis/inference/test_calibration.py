"""Crops for calibration: those that inference cuts."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.random_models import POSE

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.apis.inference import calibration
from hrnet_plugin.apis.inference.backends import BackendOutput
from hrnet_plugin.apis.inference.calibration import calibration_crops

SIZE = (96, 128)
NAMES = [f'{i:012}.png' for i in range(4)]
BOXES = [[20.0, 30, 100, 190], [100, 20, 100, 210], [10, 10, 140, 200]]


class Recorder:
    """A backend that keeps what it is given."""

    def __init__(self) -> None:
        self.crops: list[np.ndarray] = []

    def __call__(self, inputs: np.ndarray) -> BackendOutput:
        mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
        self.crops.extend(inputs.transpose(0, 2, 3, 1) * std + mean)
        return BackendOutput(
            keypoints=np.zeros((len(inputs), 17, 2)), scores=np.zeros((len(inputs), 17))
        )


@pytest.fixture(scope='module')
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope='module')
def inferencer(recorder: Recorder) -> PoseInferencer:
    return PoseInferencer(POSE, device='cpu', backend=recorder, det_model='whole_image')


def coco(boxes_of: dict[int, list[list[float]]]) -> str:
    """COCO annotations of images by their index in ``NAMES``."""
    return json.dumps(
        dict(
            images=[dict(id=i, file_name=name) for i, name in enumerate(NAMES)],
            annotations=[
                dict(image_id=i, bbox=box, category_id=1, iscrowd=0)
                for i, boxes in boxes_of.items()
                for box in boxes
            ],
            categories=[dict(id=1, name='person')],
        )
    )


@pytest.mark.parametrize('layout', ['beside', 'coco', 'folder'])
def test_crops_of_inference(
    folder: Path, inferencer: PoseInferencer, recorder: Recorder, layout: str
) -> None:
    """Of a folder, whole images; of annotations, their boxes, wherever images are."""
    source, boxes = folder, None
    if layout != 'folder':
        source = folder / 'some.json'
        if layout == 'coco':
            source = folder.parent / 'annotations' / 'person_keypoints_images.json'
            source.parent.mkdir()
        source.write_text(coco({0: BOXES[:2], 3: BOXES[2:]}))
        boxes = str(source)
    found = calibration_crops(inferencer.pose, source)
    recorder.crops.clear()
    list(inferencer([str(folder / name) for name in NAMES], bboxes=boxes))
    assert len(found) == len(recorder.crops) == (4 if layout == 'folder' else 3)
    for crop, expected in zip(found, recorder.crops):
        assert crop.dtype == np.uint8
        assert crop.shape == (SIZE[1], SIZE[0], 3)
        np.testing.assert_allclose(crop[..., ::-1], expected, atol=0.01)


def test_no_more_than_it_takes(
    folder: Path, inferencer: PoseInferencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = calibration_crops(inferencer.pose, folder)
    monkeypatch.setattr(calibration, 'MAX_IMAGES', 3)
    monkeypatch.setattr(calibration, 'MAX_CROPS', 2)
    first, last = calibration_crops(inferencer.pose, folder)
    np.testing.assert_array_equal(first, everything[0])
    np.testing.assert_array_equal(last, everything[3])


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('empty', None, 'empty has no readable images'),
        ('none.json', None, r'none\.json'),
        ('none', None, 'none does not exist; expected a folder of images, or a'),
        ('notes.txt', 'text', r'notes\.txt is a file; expected a folder of images, or a \*\.json'),
        ('a.json', 'no json', r'a\.json cannot be read as JSON: it begins with'),
        ('a.json', '{"shapes": []}', r"a\.json is not a file of boxes \(no 'images'\); expected"),
        ('a.json', coco({}), r'a\.json has no usable boxes: it lists none'),
        ('a.json', coco({0: BOXES}), f'{NAMES[0]} of .* is neither in .* nor in'),
        (
            'a.json',
            '[{"image_id": 1, "bbox": [0, 0, 9, 9], "score": 1}]',
            r'a\.json does not name its images; expected COCO annotations',
        ),
    ],
)
def test_errors(
    tmp_path: Path, inferencer: PoseInferencer, name: str, content: str | None, message: str
) -> None:
    if name == 'empty':
        (tmp_path / name).mkdir()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises((OSError, ValueError), match=message):
        calibration_crops(inferencer.pose, tmp_path / name)


def test_damaged_image(folder: Path, inferencer: PoseInferencer) -> None:
    image = cv2.imencode('.png', np.zeros((9, 9, 3), np.uint8))[1].tobytes()
    (folder / NAMES[1]).write_bytes(image[:40])
    with pytest.raises(ValueError, match=f'{NAMES[1]} cannot be read as an image'):
        calibration_crops(inferencer.pose, folder)
