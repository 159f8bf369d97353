"""Calibrated scores in the results of calls and in COCO results."""

import numpy as np
import pytest
from support.random_models import POSE

from hrnet_plugin.apis import PoseInferencer
from hrnet_plugin.functional import Calibration
from hrnet_plugin.functional.coco.calibration import CalibrationFit, ScoreMap

BOXES = [[[20, 30, 120, 220, 0.9], [90, 40, 180, 230, 0.5]], [], [[10, 10, 150, 230, 0.7]], []]


@pytest.fixture(scope='module')
def calibration():
    fit = CalibrationFit(9, 9, 0.2, 0.1)
    blocks = ScoreMap(0, 1, None, (0.1, 0.6), (0.3, 0.9))
    return Calibration(
        'isotonic',
        0.5,
        0.5,
        'wrong',
        0,
        5,
        5,
        blocks,
        ScoreMap(0, 1, None, (0.5,), (0.7,)),
        fit,
        fit,
    )


@pytest.fixture
def calibrated(boxes_only, calibration, monkeypatch):
    monkeypatch.setattr(boxes_only, 'calibration', calibration)
    return boxes_only


def test_scores_of_a_call(boxes_only, calibration, images, monkeypatch):
    before = list(boxes_only(images, bboxes=BOXES))
    monkeypatch.setattr(boxes_only, 'calibration', calibration)
    after = list(boxes_only(images, bboxes=BOXES))
    coco = boxes_only.to_coco(images, bboxes=BOXES)
    compared = 0
    for old, new in zip(before, after):
        for a, b in zip(old['predictions'][0], new['predictions'][0]):
            expected = calibration.apply_keypoints(np.array(a['keypoint_scores']))
            np.testing.assert_allclose(b['keypoint_scores'], expected, rtol=1e-6)
            assert b['keypoint_scores'] != a['keypoint_scores']
            assert 'score' not in a
            assert b['score'] == coco[compared]['score']
            kept = ('keypoints', 'bbox', 'bbox_score')
            assert [b[name] for name in kept] == [a[name] for name in kept]
            compared += 1
    assert compared == len(coco) == 3


def test_scores_of_coco_results(boxes_only, calibration, images, monkeypatch):
    """The score of an instance is that of its own scores before, whose order it keeps."""
    before = boxes_only.to_coco(images, bboxes=BOXES)
    monkeypatch.setattr(boxes_only, 'calibration', calibration)
    after = boxes_only.to_coco(images, bboxes=BOXES)
    old, new = (np.array([r['score'] for r in results]) for results in (before, after))
    np.testing.assert_allclose(new, calibration.apply_instances(old), rtol=1e-12)
    assert (np.argsort(old) == np.argsort(new)).all()
    assert len(set(old)) == 3
    for a, b in zip(before, after):
        a_points, b_points = (np.reshape(r['keypoints'], (17, 3)) for r in (a, b))
        np.testing.assert_array_equal(a_points[:, :2], b_points[:, :2])
        expected = calibration.apply_keypoints(a_points[:, 2])
        np.testing.assert_allclose(b_points[:, 2], expected, atol=2e-3)
        assert (a_points[:, 2] != b_points[:, 2]).all()


def test_tracks_and_samples(calibrated, images):
    """Tracking sees the network's scores; samples have the calibrated ones."""
    results = calibrated([images[0]] * 2, bboxes=[BOXES[0]] * 2, track=True, smooth=True)
    assert [len(result['predictions'][0]) for result in results] == [2, 2]
    (result,) = calibrated(images[:1], bboxes=BOXES[:1], return_datasamples=True)
    (sample,) = result['predictions']
    assert sample.pred_instances.scores == pytest.approx([0.7, 0.7], abs=1e-6)


def test_an_image_without_instances(calibrated, images):
    (result,) = calibrated(images[:1], bboxes=[[]])
    assert result['predictions'] == [[]]


def test_a_file_is_read_before_models(calibration, tmp_path):
    path = tmp_path / 'calibration.json'
    with pytest.raises(FileNotFoundError, match=r'calibration\.json'):
        PoseInferencer('no such config', calibration=path)
    path.write_text('{}')
    with pytest.raises(
        ValueError, match=r"calibration\.json is no calibration: 'version' is None"
    ):
        PoseInferencer('no such config', calibration=str(path))
    with pytest.raises(
        ValueError, match='calibration is dict; expected a Calibration or the path'
    ):
        PoseInferencer('no such config', calibration={})


def test_a_file_is_the_calibration(calibration, weights, tmp_path):
    path = tmp_path / 'calibration.json'
    calibration.to_json(path)
    built = PoseInferencer(POSE, str(weights / 'pose.pth'), device='cpu', calibration=path)
    assert built.calibration == calibration
